package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse"
)

// deadOrders is a project that has run: two letters without an id, one that is
// no JSON. The model is fixed since: an id may be missing.
func deadOrders(t *testing.T) string {
	t.Helper()
	dir := writeProject(t, ordersModel)
	mustCalve(t, "{\"id\":1}\n{\"item\":\"tea\"}\n{\"item\":\"rum\"}\nbro\x01ken\n", "produce", "orders", "--project", dir)
	mustCalve(t, "", "run", "--once", "--project", dir)
	fixed := strings.Replace(ordersModel, "nullable: false", "nullable: false, default: -1", 1)
	if err := os.WriteFile(filepath.Join(dir, "models", "orders.yaml"), []byte(fixed), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// openLetters lists the open letters of a reason.
func openLetters(t *testing.T, dir, reason string) []lakehouse.ListedLetter {
	t.Helper()
	var list lakehouse.LetterList
	parse(t, mustCalve(t, "", "dlq", "list", "--letters", "--reason", reason, "--project", dir, "-o", "json"), &list)
	return list.Letters
}

func TestDLQListAndShow(t *testing.T) {
	dir := deadOrders(t)
	text := mustCalve(t, "", "dlq", "list", "--project", dir)
	for _, part := range []string{"MODEL", "malformed", "missing", "id"} {
		if !strings.Contains(text, part) {
			t.Errorf("list does not print %q:\n%s", part, text)
		}
	}
	var list lakehouse.LetterList
	parse(t, mustCalve(t, "", "dlq", "list", "--project", dir, "--since", "24h", "-o", "json"), &list)
	if len(list.Groups) != 2 || list.Groups[0].Open != 1 || list.Groups[1].Open != 2 || list.Groups[1].Column != "id" || len(list.Letters) != 0 {
		t.Errorf("got %+v, want 1 malformed and 2 missing", list)
	}
	if got := mustCalve(t, "", "dlq", "list", "-l", "--limit", "1", "--project", dir); !strings.Contains(got, "orders/0@1") || !strings.Contains(got, "and 2 more") {
		t.Errorf("list --letters prints\n%s", got)
	}
	letter := openLetters(t, dir, "malformed")[0]
	if got := mustCalve(t, "", "dlq", "show", letter.ID, "--raw", "--project", dir); got != "bro\x01ken" {
		t.Errorf("show --raw writes %q", got)
	}
	text = mustCalve(t, "", "dlq", "show", letter.ID, "--project", dir)
	for _, part := range []string{letter.ID, "the whole record", "orders/0 at offset 3", "62 72 6f 01 6b 65 6e", "key:\nnull"} {
		if !strings.Contains(text, part) {
			t.Errorf("show does not print %q:\n%s", part, text)
		}
	}
	var shown letterReport
	parse(t, mustCalve(t, "", "dlq", "show", openLetters(t, dir, "missing")[0].ID, "--project", dir, "-o", "json"), &shown)
	if shown.State != "open" || shown.Key != nil || shown.Value == nil || *shown.Value.Text != `{"item":"tea"}` || shown.Offset != 1 || shown.Row != nil || len(shown.History) != 0 {
		t.Errorf("got %+v", shown)
	}
	if o := calve(t, "", "dlq", "show", strings.Repeat("0", 32), "--project", dir); o.code != exitFailure || !strings.Contains(o.errors, "no such dead letter") {
		t.Errorf("of an unknown letter: exit code %d\n%s", o.code, o.errors)
	}
}

func TestDLQReplayAndDiscard(t *testing.T) {
	dir := deadOrders(t)
	if got := mustCalve(t, "", "dlq", "replay", "--dry-run", "--project", dir); got != "3 open dead letters match\n" {
		t.Errorf("dry run prints %q", got)
	}
	wantJSON(t, mustCalve(t, "", "dlq", "replay", "--reason", "tombstone", "--project", dir, "-o", "json"), `{"kind":"replay","letters":0,"no_model":0}`)
	wantJSON(t, mustCalve(t, "", "run", "--once", "--project", dir, "-o", "json"),
		`{"records":0,"rows_out":0,"dead_letters":0,"filtered":0,"epochs":0,"files":0,"last_epoch":0}`)
	var report requestReport
	parse(t, mustCalve(t, "", "dlq", "replay", "--model", "orders", "--project", dir, "-o", "json"), &report)
	if report.Letters != 3 || report.Request == "" {
		t.Errorf("got %+v, want a request for 3 letters", report)
	}
	wantJSON(t, mustCalve(t, "", "run", "--once", "--project", dir, "-o", "json"),
		`{"records":0,"rows_out":2,"dead_letters":0,"filtered":0,"epochs":1,"files":3,"last_epoch":2}`)
	if missing := openLetters(t, dir, "missing"); len(missing) != 0 {
		t.Errorf("letters %+v are open, want them replayed", missing)
	}
	malformed := openLetters(t, dir, "malformed")
	if len(malformed) != 1 {
		t.Fatalf("%d malformed letters are open, want the one that was refused again", len(malformed))
	}
	mustCalve(t, "", "dlq", "discard", "--letter", malformed[0].ID, "--project", dir)
	mustCalve(t, "", "run", "--once", "--project", dir)
	text := mustCalve(t, "", "dlq", "show", malformed[0].ID, "--project", dir)
	for _, part := range []string{"discarded", "refused in epoch 2 by request " + report.Request + ": malformed", "discarded in epoch 3"} {
		if !strings.Contains(text, part) {
			t.Errorf("show does not print %q:\n%s", part, text)
		}
	}
	var list lakehouse.LetterList
	parse(t, mustCalve(t, "", "dlq", "list", "--all", "--project", dir, "-o", "json"), &list)
	if len(list.Groups) != 2 || list.Groups[0].Discarded != 1 || list.Groups[1].Replayed != 2 {
		t.Errorf("got %+v, want 1 discarded and 2 replayed", list.Groups)
	}
	mustCalve(t, "", "verify", "--project", dir)
}

func TestDLQReplayWaitsForTheRunningPipeline(t *testing.T) {
	dir := deadOrders(t)
	file := filepath.Join(dir, "calve.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "commit: {interval: 1s}\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	running := exec.CommandContext(t.Context(), os.Args[0], "run", "--project", dir)
	running.Env = append(os.Environ(), runAsCalve+"=1")
	var errs strings.Builder
	running.Stderr = &errs
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(2*time.Minute, func() { _ = running.Process.Kill() })
	defer stuck.Stop()
	var report requestReport
	parse(t, mustCalve(t, "", "dlq", "replay", "--wait", "--project", dir, "-o", "json"), &report)
	if report.Result == nil || *report.Result != (lakehouse.RequestResult{Replayed: 2, Refused: 1}) {
		got, _ := json.Marshal(report)
		t.Errorf("got %s, want 2 replayed and 1 refused", got)
	}
	mustCalve(t, "", "verify", "--project", dir)
	if err := running.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := running.Wait(); err != nil {
		t.Errorf("calve run: %v\n%s", err, errs.String())
	}
}

func TestDLQRefusesWrongFlags(t *testing.T) {
	dir := writeProject(t, ordersModel)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"discard"}, "--all"},
		{[]string{"discard", "--all", "--model", "orders"}, "exclude each other"},
		{[]string{"replay", "--letter", "abc"}, "32 hexadecimal digits"},
		{[]string{"replay", "--since", "yesterday"}, "--since yesterday"},
		{[]string{"list", "--since", "-3h"}, "--since -3h"},
		{[]string{"list", "--limit", "0"}, "--limit 0"},
		{[]string{"show"}, "LETTER_ID"},
		{[]string{"show", "abc"}, "no letter id"},
		{[]string{"lisst"}, "did you mean list?"},
	} {
		args := append([]string{"dlq"}, c.args...)
		if c.args[0] != "lisst" {
			args = append(args, "--project", dir)
		}
		if o := calve(t, "", args...); o.code != exitUsage || !strings.Contains(o.errors, c.says) {
			t.Errorf("calve %v: exit code %d, errors %q; want %d and %q", args, o.code, o.errors, exitUsage, c.says)
		}
	}
	if got := mustCalve(t, "", "dlq", "list", "--project", dir); strings.Count(got, "\n") != 1 {
		t.Errorf("a project that never ran lists\n%s", got)
	}
	if got := mustCalve(t, "", "dlq", "discard", "--all", "--project", dir); got != "0 open dead letters match\n" {
		t.Errorf("a project that never ran discards: %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, ".calve")); err == nil {
		t.Error("the commands left a trace in the project")
	}
}
