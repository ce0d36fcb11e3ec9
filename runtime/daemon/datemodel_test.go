package daemon_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

// dated is a project of one topic with a date dimension.
func dated(t *testing.T, dir, days string) *project.Project {
	t.Helper()
	visits(t, dir, "")
	file := filepath.Join(dir, "models", "dim_date.yaml")
	if err := os.WriteFile(file, []byte("name: dim_date\nkind: date\nnamespace: marts\nrange: "+days+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := project.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wantDays(t *testing.T, p *project.Project, want string) {
	t.Helper()
	got := strings.ReplaceAll(rowsOf(t, p, "marts.dim_date", "date_key", "day_name"), "\n", " ")
	if got != want {
		t.Errorf("got days\n%s\nwant\n%s", got, want)
	}
	wantProven(t, p)
}

func TestDateDimensionNeedsNoRecords(t *testing.T) {
	dir := t.TempDir()
	p := dated(t, dir, "[2024-02-28, 2024-03-01]")
	produce(t, p, "events") // makes the topic
	mustRun(t, p)
	wantDays(t, p, "[0 <nil>] [2.0240228e+07 Wednesday] [2.0240229e+07 Thursday] [2.0240301e+07 Friday]")
	before := headOf(t, p, "marts.dim_date")
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	mustRun(t, p)
	if after := headOf(t, p, "marts.dim_date"); after != before {
		t.Errorf("an epoch without a change of the range made snapshot %s of the calendar, which was at %s", after, before)
	}
}

func TestChangedRangeOfADateDimension(t *testing.T) {
	dir := t.TempDir()
	p := dated(t, dir, "[2024-02-28, 2024-03-01]")
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	mustRun(t, p)
	p = dated(t, dir, "[2024-03-01, 2024-03-02]") // facts may have keys of the days before
	mustRun(t, p)
	want := "[0 <nil>] [2.0240228e+07 Wednesday] [2.0240229e+07 Thursday] [2.0240301e+07 Friday] [2.0240302e+07 Saturday]"
	wantDays(t, p, want)

	// The local copy of the state is a cache.
	if err := os.RemoveAll(filepath.Join(dir, ".calve", "state")); err != nil {
		t.Fatal(err)
	}
	mustRun(t, p)
	wantDays(t, p, want)
	mustRun(t, dated(t, dir, "[2024-03-02, 2024-03-03]"))
	wantDays(t, p, want+" [2.0240303e+07 Sunday]")
}

func TestResetDateDimensionHasItsRangeAlone(t *testing.T) {
	dir := t.TempDir()
	p := dated(t, dir, "[2024-02-28, 2024-02-29]")
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	mustRun(t, p)
	p = dated(t, dir, "[2024-02-29, 2024-03-01]")
	if _, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: quiet, ResetModels: []string{"dim_date"}}); err != nil {
		t.Fatal(err)
	}
	wantDays(t, p, "[0 <nil>] [2.0240229e+07 Thursday] [2.0240301e+07 Friday]")
}

// headOf is the table's last snapshot.
func headOf(t *testing.T, p *project.Project, name string) string {
	t.Helper()
	lake, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	tbl, err := lake.Catalog.Load(t.Context(), definitionID(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatInt(tbl.CurrentSnapshot().SnapshotID, 10)
}
