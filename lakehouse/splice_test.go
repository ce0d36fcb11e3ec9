package lakehouse

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/codec"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
	"github.com/calvelake/calve/lakehouse/storage"
)

// spliced makes a table of many row groups a file, and an epoch that changes few
// of its rows.
func spliced(t *testing.T, clustered bool) (w *world, before, after TableChange, stats RewriteStats, want members) {
	t.Helper()
	w = newWorld(t)
	w.clustered, w.layout = clustered, ChangeConfig{TargetBytes: 12 << 10, GroupRows: 64}
	l := w.lake("w1")
	s := w.startKeyed(l)
	want = members{}
	var changes []change
	for n := range int32(3000) {
		changes = append(changes, created(fmt.Sprintf("k%04d", n), "eu", n))
	}
	before, _ = w.keyedChange(l, s, membersTable, changes)
	w.commit(l, w.decide(l, s, &Epoch{Number: 1, Pipeline: "shop", Writer: "w1", Readers: []Reader{}, Changes: []TableChange{before}}))
	want.apply(changes)
	changes = []change{amended("k0100", "us", 102), gone("k0101"), amended("k2000", "us", 2001), created("new", "us", 4)}
	after, stats = w.keyedChange(l, s, membersTable, changes)
	w.commit(l, w.decide(l, s, &Epoch{Number: 2, Pipeline: "shop", Writer: "w1", Readers: []Reader{}, Changes: []TableChange{after}}))
	want.apply(changes)
	return w, before, after, stats, want
}

func (w *world) body(location string) []byte {
	w.t.Helper()
	body, err := w.store.Get(w.t.Context(), location)
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

func footerOf(t *testing.T, body []byte) *metadata.FileMetaData {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r.MetaData()
}

// chunks are the bytes of a file's row groups.
func chunks(t *testing.T, body []byte) (groups []string) {
	t.Helper()
	footer := footerOf(t, body)
	for g := range footer.RowGroups {
		ranges, err := spansOf(footer, g, int64(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, r := range ranges {
			b.Write(body[r.from:r.to])
		}
		groups = append(groups, b.String())
	}
	return groups
}

func TestUntouchedRowGroupsAreCopiedByteForByte(t *testing.T) {
	for _, clustered := range []bool{false, true} {
		w, before, after, stats, want := spliced(t, clustered)
		w.expect(membersTable, want)
		old := map[string]bool{}
		groups := 0
		for _, location := range after.Replace {
			for _, c := range chunks(t, w.body(location)) {
				old[c] = true
				groups++
			}
		}
		same := 0
		for _, f := range after.Add {
			for _, c := range chunks(t, w.body(f.Location)) {
				if old[c] {
					same++
				}
			}
		}
		if groups < 10 || same < groups-4 || int64(same) != stats.CopiedGroups {
			t.Errorf("clustered %v: %d of %d row groups are as they were, stats say %d, want all but those of three changed rows", clustered, same, groups, stats.CopiedGroups)
		}
		if len(after.Replace) == 0 || len(after.Replace) >= len(before.Add) {
			t.Errorf("clustered %v: %d of %d files replaced, want some", clustered, len(after.Replace), len(before.Add))
		}
	}
}

// What the footer and the manifest say of a spliced file is what a reader finds:
// bounds enclose the values, counts are theirs, every page is where it should be.
func TestSplicedFilesSayWhatTheyHold(t *testing.T) {
	w, _, after, stats, _ := spliced(t, true)
	if stats.CopiedGroups == 0 {
		t.Fatal("nothing was spliced")
	}
	tbl := w.load(membersTable)
	opened, err := w.lake("reader").table(keyedDefinitions()[0].ID, tbl)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range after.Add {
		entry, err := codec.DecodeDataFile(f.Entry, opened.spec, opened.schema, opened.version)
		if err != nil {
			t.Fatal(err)
		}
		body := w.body(f.Location)
		footer := footerOf(t, body)
		if footer.NumRows != f.Rows || entry.Count() != f.Rows || entry.FileSizeBytes() != int64(len(body)) {
			t.Errorf("%s: footer of %d rows, entry of %d rows and %d bytes, want %d and %d", f.Location, footer.NumRows, entry.Count(), entry.FileSizeBytes(), f.Rows, len(body))
		}
		offsets := make([]int64, len(footer.RowGroups))
		for g := range footer.RowGroups {
			ranges, err := spansOf(footer, g, int64(len(body)))
			if err != nil {
				t.Fatal(err)
			}
			offsets[g] = ranges[0].from
			if o := footer.RowGroup(g).Ordinal(); int(o) != g {
				t.Errorf("%s: row group %d says it is number %d", f.Location, g, o)
			}
		}
		if got := entry.SplitOffsets(); !slices.Equal(got, offsets) {
			t.Errorf("%s: split offsets %v, row groups begin at %v", f.Location, got, offsets)
		}
		compareBounds(t, opened, entry, readParquet(t, body))
	}
}

func readParquet(t *testing.T, body []byte) arrow.RecordBatch {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(body), file.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
	if err != nil {
		t.Fatal(err)
	}
	batches := decodeAll(t, r)
	joined, err := concatenate(batches[0].Schema(), batches, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	return joined
}

// compareBounds compares a manifest entry's bounds and counts with rows.
func compareBounds(t *testing.T, tbl *Table, entry iceberg.DataFile, rows arrow.RecordBatch) {
	t.Helper()
	id := func(name string) int {
		f, _ := tbl.schema.FindFieldByName(name)
		return f.ID
	}
	r := &columnReader{batch: rows}
	keys, ns, currents := r.strings("member_key"), r.int32s("n"), columnOf[*array.Boolean](r, "is_current")
	if r.err != nil {
		t.Fatal(r.err)
	}
	lowKey, highKey, low, high, nulls := keys.Value(0), keys.Value(0), ns.Value(0), ns.Value(0), int64(0)
	for i := range int(rows.NumRows()) {
		lowKey, highKey = min(lowKey, keys.Value(i)), max(highKey, keys.Value(i))
		low, high = min(low, ns.Value(i)), max(high, ns.Value(i))
		if currents.IsNull(i) {
			nulls++
		}
	}
	if l, h := string(entry.LowerBoundValues()[id("member_key")]), string(entry.UpperBoundValues()[id("member_key")]); l != lowKey || h != highKey {
		t.Errorf("bounds of keys %q to %q, they go from %q to %q", l, h, lowKey, highKey)
	}
	if l, h := numberBound(entry.LowerBoundValues()[id("n")]), numberBound(entry.UpperBoundValues()[id("n")]); !bytes.Equal(l, sortable(int64(low))) || !bytes.Equal(h, sortable(int64(high))) {
		t.Errorf("bounds of n %x to %x, they go from %d to %d", l, h, low, high)
	}
	if got := entry.NullValueCounts()[id("is_current")]; got != nulls {
		t.Errorf("%d nulls of is_current by the entry, %d in the rows", got, nulls)
	}
}

// A process enters no key of a row group that it copies, and finds all the same
// where each key is.
func TestIndexFollowsCopiedRowGroups(t *testing.T) {
	w := newWorld(t)
	w.clustered, w.flat, w.layout = true, true, ChangeConfig{TargetBytes: 24 << 10, GroupRows: 32}
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := members{}
	rng := rand.New(rand.NewPCG(3, 3))
	var copied, thinned int64
	for epoch := range 12 {
		var changes []change
		for n := range 1200 {
			key := fmt.Sprintf("k%04d", n)
			switch {
			case epoch == 0:
				changes = append(changes, created(key, "eu", rng.Int32N(100)))
			case rng.IntN(200) == 0:
				changes = append(changes, amended(key, "us", rng.Int32N(100)))
			case rng.IntN(400) == 0:
				changes = append(changes, gone(key))
			}
		}
		before := len(w.store.Calls())
		made, stats := w.keyedChange(l, s, membersTable, changes)
		replaced := map[string]bool{}
		for _, location := range made.Replace {
			replaced[location] = true
		}
		for _, call := range w.store.Calls()[before:] {
			if (call.Op == storage.OpGet || call.Op == storage.OpOpen) && strings.Contains(call.Location, "/data/") && !replaced[call.Location] {
				t.Errorf("epoch %d read %s, which it does not replace", epoch+1, call.Location)
			}
		}
		copied, thinned = copied+stats.CopiedGroups, thinned+stats.ThinnedGroups
		w.commit(l, w.decide(l, s, &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: "w1", Readers: []Reader{}, Changes: []TableChange{made}}))
		want.apply(changes)
		w.expect(membersTable, want)
		w.expectIndex(s.Tables[membersTable])
	}
	if copied < 100 || thinned < 20 {
		t.Errorf("%d row groups copied and %d thinned in all, want most of them", copied, thinned)
	}
}

// expectIndex compares what the index says with one that is built of nothing.
func (w *world) expectIndex(tbl *Table) {
	w.t.Helper()
	loaded := w.load(tbl.ID.String())
	head, err := tbl.lake.keyedHead(w.t.Context(), tbl.ID.String(), loaded)
	if err != nil {
		w.t.Fatal(err)
	}
	x := tbl.lake.indexes.of(tbl.UUID)
	if err := x.sync(w.t.Context(), head.table, loaded, head.files); err != nil {
		w.t.Fatal(err)
	}
	fresh := &tableIndex{}
	if err := fresh.sync(w.t.Context(), head.table, loaded, head.files); err != nil {
		w.t.Fatal(err)
	}
	if x.rows != fresh.rows {
		w.t.Errorf("index of %d rows, want %d", x.rows, fresh.rows)
	}
	r := &keyReader{table: head.table, head: loaded, hasher: head.table.keyHasher()}
	defer r.close()
	for _, f := range head.files.at {
		err := r.read(w.t.Context(), f, func(_ int, _ int64, hashes []keyindex.Hash) error {
			for _, h := range hashes {
				if got, want := x.at(h), fresh.at(h); got != want {
					w.t.Fatalf("index has a key of %s in %+v, want %+v", f.data.FilePath(), got, want)
				}
			}
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func decodeAll(t *testing.T, r *file.Reader) (batches []arrow.RecordBatch) {
	t.Helper()
	reader, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: 1000}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	records, err := reader.GetRecordReader(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for records.Next() {
		batch := records.RecordBatch()
		batch.Retain()
		batches = append(batches, batch)
	}
	if err := records.Err(); err != nil {
		t.Fatal(err)
	}
	return batches
}
