package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse"
)

func TestVerifyProvesAProject(t *testing.T) {
	dir := writeProject(t, ordersModel)
	if got := mustCalve(t, "", "verify", "--project", dir); !strings.Contains(got, "no epoch was committed yet") {
		t.Errorf("before the first run it prints\n%s", got)
	}
	if _, err := os.Stat(filepath.Join(dir, ".calve")); err == nil {
		t.Error("verify left a trace in the project")
	}
	mustCalve(t, "{\"id\":1,\"item\":\"tea\"}\n{\"id\":2}\nbroken\n", "produce", "orders", "--project", dir)
	mustCalve(t, "", "run", "--once", "--project", dir)
	text := mustCalve(t, "", "verify", "--project", dir)
	for _, part := range []string{"orders", "[0,3)", "calve_shop.epochs", "proven up to epoch 1"} {
		if !strings.Contains(text, part) {
			t.Errorf("verify does not print %q:\n%s", part, text)
		}
	}
	var v lakehouse.Verification
	parse(t, mustCalve(t, "", "verify", "--project", dir, "--output", "json"), &v)
	if !v.Proven || v.Epochs != 1 || len(v.Models) != 1 || v.Models[0].Delivered != 3 || v.Models[0].Rows != 2 || v.Models[0].Dead != 1 || len(v.CounterExamples) != 0 {
		t.Errorf("got %+v", v)
	}
}

// dataFiles are the data files of a project's tables whose path has a part.
func dataFiles(t *testing.T, dir, part string) []string {
	t.Helper()
	var found []string
	for _, file := range files(t, dir) {
		if strings.HasSuffix(file, ".parquet") && strings.Contains(filepath.ToSlash(file), part) {
			found = append(found, file)
		}
	}
	if len(found) == 0 {
		t.Fatalf("found no data file of %s", part)
	}
	return found
}

func TestVerifyExitsWith1AtACounterExampleAndRederiveRepairsIt(t *testing.T) {
	dir := writeProject(t, ordersModel)
	mustCalve(t, "{\"id\":1}\n{\"id\":2}\n", "produce", "orders", "--project", dir)
	mustCalve(t, "", "run", "--once", "--project", dir)
	lost := dataFiles(t, dir, "/orders")[0]
	if err := os.Remove(lost); err != nil {
		t.Fatal(err)
	}
	o := calve(t, "", "verify", "--project", dir, "--output", "json")
	var v lakehouse.Verification
	parse(t, o.out, &v)
	if o.code != exitFailure || v.Proven || len(v.CounterExamples) == 0 || v.CounterExamples[0].Check != lakehouse.CheckMissingFile {
		t.Errorf("exit code %d, %+v; want 1 and the missing file", o.code, v.CounterExamples)
	}
	if !strings.Contains(o.errors, filepath.Base(lost)) {
		t.Errorf("the error does not name the file:\n%s", o.errors)
	}
	text := mustCalve(t, "", "recover", "--rederive", "1", "--project", dir)
	for _, part := range []string{filepath.Base(lost) + " was missing", "epoch 1 was derived again"} {
		if !strings.Contains(text, part) {
			t.Errorf("recover does not print %q:\n%s", part, text)
		}
	}
	mustCalve(t, "", "verify", "--project", dir)
	if got, want := mustCalve(t, "", "recover", "--rederive", "1", "--project", dir), "no data file of epoch 1 is missing\n"; got != want {
		t.Errorf("the second time it prints %q, want %q", got, want)
	}
	wantJSON(t, mustCalve(t, "", "recover", "--rederive", "1", "--project", dir, "-o", "json"), `{"epoch":1,"missing":[]}`)
}

func TestRecoverRebuildsTheLogOnce(t *testing.T) {
	dir := writeProject(t, ordersModel)
	mustCalve(t, "{\"id\":1}\n{\"id\":2}\n", "produce", "orders", "--project", dir)
	mustCalve(t, "", "run", "--once", "--project", dir)
	if got := mustCalve(t, "", "recover", "--project", dir); !strings.Contains(got, "there is nothing to recover") {
		t.Errorf("with its log in place it prints %q", got)
	}
	for _, name := range files(t, dir) {
		if filepath.Base(name) == "_calve" {
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if o := calve(t, "", "run", "--once", "--project", dir); o.code != exitFailure || !strings.Contains(o.errors, "calve recover") {
		t.Errorf("run without its log: exit code %d\n%s", o.code, o.errors)
	}
	var report recoverReport
	parse(t, mustCalve(t, "", "recover", "--project", dir, "--output", "json"), &report)
	if !report.Recovered || report.Recovery == nil || report.Recovery.Floor.Number != 1 {
		t.Errorf("got %+v, want a log that goes on after epoch 1", report)
	}
	parse(t, mustCalve(t, "", "recover", "--project", dir, "--output", "json"), &report)
	if report.Recovered {
		t.Error("the second time it recovered again")
	}
	mustCalve(t, "{\"id\":3}\n", "produce", "orders", "--project", dir)
	wantJSON(t, mustCalve(t, "", "run", "--once", "--project", dir, "--output", "json"),
		`{"records":1,"rows_out":1,"dead_letters":0,"filtered":0,"epochs":1,"files":2,"last_epoch":2}`)
	mustCalve(t, "", "verify", "--project", dir)
}

func TestRederiveTakesAnEpochNumber(t *testing.T) {
	dir := writeProject(t, ordersModel)
	for _, number := range []string{"0", "-3", "x"} {
		if o := calve(t, "", "recover", "--rederive", number, "--project", dir); o.code != exitUsage || !strings.Contains(o.errors, "rederive") {
			t.Errorf("--rederive %s: exit code %d\n%s", number, o.code, o.errors)
		}
	}
}
