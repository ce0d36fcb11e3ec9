package lakehouse

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/apache/iceberg-go/table"
)

// Table properties and snapshot summary keys that Calve sets.
const (
	// PropertyPipeline names the pipeline that created a table and alone
	// writes its epochs.
	PropertyPipeline = "calve.pipeline"
	// PropertyEpoch holds a Progress as JSON; as a table property it survives
	// the expiry of the snapshot, in a snapshot's summary it survives a
	// foreign writer that sets properties.
	PropertyEpoch = "calve.epoch"
)

// Progress is how far a table is: its last epoch and the snapshot that the
// epoch made (invariant 1: it is part of that same snapshot's commit).
type Progress struct {
	Pipeline       string `json:"pipeline"`
	Epoch          int64  `json:"epoch"`
	SnapshotID     int64  `json:"snapshot-id"`
	SequenceNumber int64  `json:"sequence-number"`
}

func (p Progress) encode() string {
	text, _ := json.Marshal(p) // strings and integers always encode
	return string(text)
}

// ErrForeign: a table was changed in a way that Calve cannot carry on from.
var ErrForeign = errors.New("table was changed by another writer")

// ReadProgress tells how far a table is; the zero Progress if no epoch was
// ever committed to it.
//
// The property alone is not enough: a table rolled back to an older snapshot
// keeps its properties. So the newest snapshot of ours among the head's
// ancestors must be the one that the property names, unless it has expired.
func ReadProgress(id string, meta table.Metadata) (Progress, error) {
	text, ok := meta.Properties()[PropertyEpoch]
	if !ok {
		if newest := newestOurs(meta); newest != nil {
			return Progress{}, fmt.Errorf("%w: %s has snapshots of epoch %d but the property %s is gone; set it to %s, or restore the table",
				ErrForeign, id, newest.Epoch, PropertyEpoch, newest.encode())
		}
		return Progress{}, nil
	}
	var p Progress
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return Progress{}, fmt.Errorf("%w: %s: property %s is not valid: %w", ErrForeign, id, PropertyEpoch, err)
	}
	newest := newestOurs(meta)
	switch {
	case newest != nil && newest.Epoch == p.Epoch:
		return p, checkForeign(id, meta)
	case newest == nil && meta.SnapshotByID(p.SnapshotID) == nil && meta.CurrentSnapshot() != nil:
		return p, checkForeign(id, meta) // expired; another writer's snapshots are newer
	}
	at := "no snapshot of Calve"
	if newest != nil {
		at = fmt.Sprintf("epoch %d", newest.Epoch)
	}
	return Progress{}, fmt.Errorf("%w: %s was rolled back: its property says epoch %d, its head descends from %s; roll the table forward to snapshot %d, or restore the whole lake to one epoch",
		ErrForeign, id, p.Epoch, at, p.SnapshotID)
}

// PropertyAccepted names a snapshot up to which an operator has accepted what
// other writers did to a table.
const PropertyAccepted = "calve.accepted-snapshot"

// checkForeign looks at the snapshots that other writers made since our last
// one. Replacements (compaction) change no row of ours, nor do appends where a
// table only grows. Anything else does, and whether that was meant is for a
// person to say.
func checkForeign(id string, meta table.Metadata) error {
	_, keyed := meta.Properties()[PropertyKey]
	accepted := meta.Properties()[PropertyAccepted]
	for s := meta.CurrentSnapshot(); s != nil; s = parent(meta, s) {
		if strconv.FormatInt(s.SnapshotID, 10) == accepted {
			return nil
		}
		if s.Summary == nil {
			continue
		}
		if _, ours := s.Summary.Properties[PropertyEpoch]; ours {
			return nil
		}
		if compacted(meta, s.Summary) || !keyed && s.Summary.Operation == table.OpAppend {
			continue
		}
		if keyed && s.Summary.Operation == table.OpAppend {
			return fmt.Errorf("%w: snapshot %d of %s (append at %s) added rows to a table that calve alone writes, and one key may now have two; roll the table back to before it, or accept what it did by setting the table's property %s to %d",
				ErrForeign, s.SnapshotID, id, time.UnixMilli(s.TimestampMs).UTC().Format(time.RFC3339), PropertyAccepted, s.SnapshotID)
		}
		return fmt.Errorf("%w: snapshot %d of %s (%s at %s) deleted or rewrote rows; roll the table back to before it, or accept what it did by setting the table's property %s to %d",
			ErrForeign, s.SnapshotID, id, s.Summary.Operation, time.UnixMilli(s.TimestampMs).UTC().Format(time.RFC3339), PropertyAccepted, s.SnapshotID)
	}
	return nil
}

// compacted: the same rows were written to other files. Where there are deletion
// vectors a summary does not tell, for they may stay behind when their files go:
// that a compaction is one is seen by the rows that live (keyedHead).
func compacted(meta table.Metadata, s *table.Summary) bool {
	if s.Operation != table.OpReplace {
		return false
	}
	if meta.Version() >= vectorsVersion {
		return true
	}
	added, deleted := s.Properties["added-records"], s.Properties["deleted-records"]
	return added == deleted || added == "" && deleted == "0" || added == "0" && deleted == ""
}

// ownRows is how many rows a table had after our last snapshot, if nothing but
// compaction happened since; -1 where that is not known.
func ownRows(meta table.Metadata) int64 {
	accepted := meta.Properties()[PropertyAccepted]
	for s := meta.CurrentSnapshot(); s != nil; s = parent(meta, s) {
		if s.Summary == nil || strconv.FormatInt(s.SnapshotID, 10) == accepted {
			return -1
		}
		if _, ours := s.Summary.Properties[PropertyEpoch]; !ours {
			if compacted(meta, s.Summary) {
				continue
			}
			return -1
		}
		if _, said := s.Summary.Properties["total-records"]; !said {
			return -1
		}
		return count(s.Summary.Properties, "total-records") - count(s.Summary.Properties, "total-position-deletes")
	}
	return -1
}

// newestOurs walks from the head of main to the newest retained ancestor that
// an epoch made.
func newestOurs(meta table.Metadata) *Progress {
	for s := meta.CurrentSnapshot(); s != nil; s = parent(meta, s) {
		if s.Summary == nil {
			continue
		}
		var p Progress
		if json.Unmarshal([]byte(s.Summary.Properties[PropertyEpoch]), &p) == nil {
			return &p
		}
	}
	return nil
}
