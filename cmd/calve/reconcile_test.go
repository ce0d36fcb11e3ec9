package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lateVisits is a project with sessions, and an event that was too late.
func lateVisits(t *testing.T) string {
	t.Helper()
	dir := writeProject(t, "name: orders\nkind: staging\nfrom: source.shop.orders\nevent_time: at\nmax_out_of_orderness: 0s\n"+
		"columns:\n  - {name: visitor, data_type: string}\n  - {name: at, data_type: timestamptz}\n")
	text := "name: visits\nkind: session\nfrom: ref.orders\nkey: [visitor]\ngap: 10m\nemit: early\naggregates: {events: count()}\n"
	if err := os.WriteFile(filepath.Join(dir, "models", "visits.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"12:00", "15:00", "12:05"} {
		mustCalve(t, `{"visitor":"ada","at":"2026-05-01T`+at+`:00Z"}`+"\n", "produce", "orders", "--project", dir)
		mustCalve(t, "", "run", "--once", "--project", dir)
	}
	return dir
}

func TestReconcile(t *testing.T) {
	dir := lateVisits(t)
	if got, want := mustCalve(t, "", "reconcile", "--model", "visits", "--dry-run", "--project", dir), "model visits: 0 rows to create, 1 to change, 0 to delete; 1 dead letters to close\n"; got != want {
		t.Errorf("dry run prints %q, want %q", got, want)
	}
	wantJSON(t, mustCalve(t, "", "reconcile", "--model", "visits", "--dry-run", "--project", dir, "-o", "json"),
		`{"model":"visits","would":{"create":0,"change":1,"delete":0,"resolve":1}}`)
	if got := mustCalve(t, "", "reconcile", "--model", "visits", "--yes", "--project", dir); !strings.HasPrefix(got, "request ") {
		t.Errorf("reconcile prints %q", got)
	}
	mustCalve(t, "", "run", "--once", "--project", dir)
	if left := openLetters(t, dir, "late"); len(left) != 0 {
		t.Errorf("letters are open: %+v", left)
	}
	if got := mustCalve(t, "", "reconcile", "--model", "visits", "--dry-run", "--project", dir); !strings.Contains(got, " 0 to change") {
		t.Errorf("the second dry run prints %q", got)
	}
	mustCalve(t, "", "verify", "--project", dir)
}

func TestReconcileIsToldWhatIsMeant(t *testing.T) {
	dir := writeProject(t, ordersModel)
	for want, args := range map[string][]string{
		"--model is missing":     {"--yes"},
		"say --yes":              {"--model", "orders"},
		"--dry-run asks for":     {"--model", "orders", "--dry-run", "--wait"},
		"cannot be reconciled":   {"--model", "orders", "--yes"},
		`has no model "nothing"`: {"--model", "nothing", "--yes"},
	} {
		o := calve(t, "", append([]string{"reconcile", "--project", dir}, args...)...)
		if o.code == exitOK || !strings.Contains(o.errors, want) {
			t.Errorf("%q: exit code %d, %s, want %q", args, o.code, o.errors, want)
		}
	}
}
