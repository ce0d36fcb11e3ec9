package lakehouse

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
)

// clusteredWorld is one whose members table has that many current rows, with
// even n, and half as many that are not.
func clusteredWorld(t *testing.T, current int) (*world, *Lake, *Start, members) {
	t.Helper()
	w := newWorld(t)
	w.clustered, w.layout = true, ChangeConfig{TargetBytes: 6 << 10, GroupRows: 64}
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := members{}
	var changes []change
	for n := range current {
		changes = append(changes, created(fmt.Sprintf("k%05d", n*7919%current), "eu", 14))
		if n%2 == 0 {
			changes = append(changes, created(fmt.Sprintf("h%05d", n), "eu", 15))
		}
	}
	w.change(l, s, membersTable, changes...)
	want.apply(changes)
	return w, l, s, want
}

// kinds splits a table's live files by their bounds of is_current.
func (w *world) kinds(name string) (current, closed map[string]iceberg.DataFile) {
	w.t.Helper()
	current, closed = map[string]iceberg.DataFile{}, map[string]iceberg.DataFile{}
	tbl := w.load(name)
	field, _ := tbl.Schema().FindFieldByName("is_current")
	files, err := w.lake("reader").liveFiles(w.t.Context(), name, tbl)
	if err != nil {
		w.t.Fatal(err)
	}
	for location, f := range files.at {
		if upper := f.data.UpperBoundValues()[field.ID]; len(upper) == 1 && upper[0] == 1 {
			current[location] = f.data
		} else {
			closed[location] = f.data
		}
	}
	return current, closed
}

func TestCurrentRowsLieApartInTheOrderOfTheirKeys(t *testing.T) {
	w, _, _, want := clusteredWorld(t, 2000)
	w.expect(membersTable, want)
	current, closed := w.kinds(membersTable)
	if len(current) < 3 || len(closed) < 1 {
		t.Fatalf("%d files of current rows and %d of others, want some of each", len(current), len(closed))
	}
	key, _ := w.load(membersTable).Schema().FindFieldByName("member_key")
	files := slices.SortedFunc(maps.Values(current), func(a, b iceberg.DataFile) int {
		return bytes.Compare(a.LowerBoundValues()[key.ID], b.LowerBoundValues()[key.ID])
	})
	for i := range files[1:] {
		if before, after := files[i].UpperBoundValues()[key.ID], files[i+1].LowerBoundValues()[key.ID]; bytes.Compare(before, after) >= 0 {
			t.Errorf("a file of current rows ends at key %s, the next begins at %s", before, after)
		}
	}
}

// A filter on is_current plans none of the files with history.
func TestFilterOnCurrentRowsPrunesHistory(t *testing.T) {
	w, _, _, _ := clusteredWorld(t, 500)
	tasks, err := w.load(membersTable).Scan(table.WithRowFilter(iceberg.EqualTo(iceberg.Reference("is_current"), true))).PlanFiles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	current, _ := w.kinds(membersTable)
	for _, task := range tasks {
		if _, ok := current[task.File.FilePath()]; !ok {
			t.Errorf("a scan of current rows reads %s", task.File.FilePath())
		}
	}
	if len(tasks) != len(current) {
		t.Errorf("a scan of current rows reads %d files, want all %d", len(tasks), len(current))
	}
}

// Members that change often come to lie together: the files that they left stay
// as they are, and so does the history.
func TestMembersThatChangeOftenLieTogether(t *testing.T) {
	w, l, s, want := clusteredWorld(t, 2000)
	_, closed := w.kinds(membersTable)
	var first RewriteStats
	for epoch := range 6 {
		var changes []change
		for hot := range 20 {
			key := hot*97 + 3
			changes = append(changes, amended(fmt.Sprintf("k%05d", key), "us", int32(14+14*epoch)), created(fmt.Sprintf("c%05d.%d", key, epoch), "us", 15))
		}
		made, stats := w.keyedChange(l, s, membersTable, changes)
		w.commit(l, w.decide(l, s, &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: "w1", Readers: []Reader{}, Changes: []TableChange{made}}))
		want.apply(changes)
		w.expect(membersTable, want)
		if epoch == 0 {
			first = stats
			continue
		}
		if len(made.Replace) != 1 || stats.WrittenRows != 40 {
			t.Errorf("epoch %d replaces %d files and writes %d rows, want the one with the rows that changed before, and 40", epoch, len(made.Replace), stats.WrittenRows)
		}
	}
	if first.WrittenRows < 1000 {
		t.Errorf("the first epoch wrote %d rows: its changes were not scattered", first.WrittenRows)
	}
	_, after := w.kinds(membersTable)
	for location := range closed {
		if _, ok := after[location]; !ok {
			t.Errorf("%s, of history alone, was rewritten", location)
		}
	}
}

// Files that epochs add and nothing changes become few, whatever else changes.
func TestSmallFilesBecomeFew(t *testing.T) {
	w, l, s, want := clusteredWorld(t, 200)
	written := int64(0)
	for epoch := range 3 * smallFanIn {
		changes := []change{created(fmt.Sprintf("c%05d", epoch), "us", 15), amended("k00005", "eu", int32(14*epoch))}
		made, stats := w.keyedChange(l, s, membersTable, changes)
		w.commit(l, w.decide(l, s, &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: "w1", Readers: []Reader{}, Changes: []TableChange{made}}))
		want.apply(changes)
		written += stats.WrittenRows
	}
	w.expect(membersTable, want)
	w.expectIndex(s.Tables[membersTable])
	if current, closed := w.kinds(membersTable); len(current)+len(closed) > smallFanIn+6 {
		t.Errorf("%d files of current rows and %d of others after %d epochs", len(current), len(closed), 3*smallFanIn)
	}
	if most := int64(6 * 3 * smallFanIn * 3); written > most {
		t.Errorf("%d rows written, want at most %d", written, most)
	}
}

// A closed row that changes is written in its place, in the file of its kind.
func TestHistoryIsRewrittenInPlace(t *testing.T) {
	w, l, s, want := clusteredWorld(t, 2000)
	current, _ := w.kinds(membersTable)
	changes := []change{amended("h00500", "us", 17), gone("h00700")}
	made, stats := w.keyedChange(l, s, membersTable, changes)
	w.commit(l, w.decide(l, s, &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: "w1", Readers: []Reader{}, Changes: []TableChange{made}}))
	want.apply(changes)
	w.expect(membersTable, want)
	if stats.CopiedGroups == 0 || len(made.Add) != len(made.Replace) {
		t.Errorf("%d files in place of %d, %d row groups copied; want as many and most", len(made.Add), len(made.Replace), stats.CopiedGroups)
	}
	after, _ := w.kinds(membersTable)
	if !slices.Equal(slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(current))) {
		t.Error("files of current rows were rewritten")
	}
}

// A column that tells current rows may go: then rows lie wherever there is room.
func TestCurrentColumnThatIsGone(t *testing.T) {
	w, _, _, want := clusteredWorld(t, 50)
	tbl := w.load(membersTable)
	definition := w.keyedDefinitions()[0]
	opened, err := w.lake("w2").table(definition.ID, tbl)
	if err != nil || opened.current != "is_current" {
		t.Fatalf("current rows by %q (%v), want is_current", opened.current, err)
	}
	w.schema(membersTable, func(fields []iceberg.NestedField) []iceberg.NestedField {
		for i := range fields {
			if fields[i].Name == "is_current" {
				fields[i].Name = "was_current"
			}
		}
		return fields
	})
	if opened, err = w.lake("w2").table(definition.ID, w.load(membersTable)); err != nil || opened.current != "" {
		t.Errorf("current rows by %q (%v), want none", opened.current, err)
	}
	if len(want) != 75 {
		t.Errorf("%d rows", len(want))
	}
}

func TestColumnsThatTellNoCurrentRows(t *testing.T) {
	for _, c := range []struct {
		key     []string
		current string
		want    string
	}{
		{[]string{"member_key"}, "nobody", "no column nobody"},
		{[]string{"member_key"}, "n", "column n is a int, expected a boolean"},
		{nil, "is_current", "has no key"},
	} {
		d := Definition{ID: catalog.Identifier{Namespace: "marts", Name: "members"}, Schema: memberSchema, Key: c.key, Current: c.current}
		if _, err := d.createSpec("shop"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("current rows by %s: got %v, want a message with %q", c.current, err, c.want)
		}
	}
	if got := currentOf([]string{"k"}, iceberg.Properties{PropertyCurrent: "n"}, arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int32}}, nil)); got != "" {
		t.Errorf("current rows by %q, which is no boolean", got)
	}
}
