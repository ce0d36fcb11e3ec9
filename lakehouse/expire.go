package lakehouse

import (
	"slices"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

const (
	// propertyMaxSnapshotAge: how long a snapshot stays in the metadata, in ms.
	propertyMaxSnapshotAge = "history.expire.max-snapshot-age-ms"
	// propertyMaxSnapshots: how many snapshots of main stay at most. Each costs
	// every reader and every commit 0.8 kB of metadata to parse, so at a commit
	// every ten seconds age alone would let 7 MB of it grow. With a hundred, a
	// commit stays as quick as the first ones. Who wants to travel further back
	// in time raises it.
	propertyMaxSnapshots = "calve.max-snapshots"

	defaultMaxSnapshotAge = 24 * time.Hour
	defaultMaxSnapshots   = 100
)

// expired lists the snapshots of main that leave the metadata with the next
// commit, by age and by count, oldest first. The head stays, and so does what
// another branch or a tag needs. Their files stay too: a reader that began on
// one of them finishes (invariant 11).
func expired(meta table.Metadata, now time.Time) []int64 {
	oldest := now.Add(-maxAge(meta.Properties())).UnixMilli()
	keep := maxSnapshots(meta.Properties()) - 1 // one is being added
	needed := neededElsewhere(meta)
	var old []int64
	head := meta.CurrentSnapshot()
	for i, s := 0, head; s != nil; i, s = i+1, parent(meta, s) {
		if s != head && (i >= keep || s.TimestampMs < oldest) && !needed[s.SnapshotID] {
			old = append(old, s.SnapshotID)
		}
	}
	slices.Reverse(old)
	return old
}

// neededElsewhere are the snapshots that other refs than main reach: of a
// branch all ancestors, of a tag its own.
func neededElsewhere(meta table.Metadata) map[int64]bool {
	needed := map[int64]bool{}
	for name, ref := range meta.Refs() {
		if name == table.MainBranch {
			continue
		}
		for s := meta.SnapshotByID(ref.SnapshotID); s != nil; s = parent(meta, s) {
			needed[s.SnapshotID] = true
			if ref.SnapshotRefType == table.TagRef {
				break
			}
		}
	}
	return needed
}

func parent(meta table.Metadata, s *table.Snapshot) *table.Snapshot {
	if s.ParentSnapshotID == nil {
		return nil
	}
	return meta.SnapshotByID(*s.ParentSnapshotID)
}

func maxAge(properties iceberg.Properties) time.Duration {
	if ms, err := strconv.ParseInt(properties[propertyMaxSnapshotAge], 10, 64); err == nil && ms > 0 {
		return time.Duration(ms) * time.Millisecond
	}
	return defaultMaxSnapshotAge
}

func maxSnapshots(properties iceberg.Properties) int {
	if n, err := strconv.Atoi(properties[propertyMaxSnapshots]); err == nil && n > 0 {
		return n
	}
	return defaultMaxSnapshots
}
