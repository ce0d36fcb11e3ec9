package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse/storage"
)

func TestStagedTableAppearsWithItsCommit(t *testing.T) {
	s := newSite(t)
	staged := s.ask("POST", "/v1/namespaces/n/tables", strings.Replace(createJSON, "{", `{"stage-create":true,`, 1)).want(200)
	if _, there := staged.body["metadata-location"]; there || len(s.files()) != 0 {
		t.Errorf("staging wrote %q and answered %v, want nothing written", s.files(), staged.body["metadata-location"])
	}
	s.ask("GET", "/v1/namespaces/n/tables/a", "").wantError(404, "NoSuchTableException")
	commit := fmt.Sprintf(`{"requirements":[{"type":"assert-create"}],"updates":[
		{"action":"assign-uuid","uuid":%q},
		{"action":"upgrade-format-version","format-version":2},
		{"action":"add-schema","schema":%s,"last-column-id":2},
		{"action":"set-current-schema","schema-id":-1},
		{"action":"add-spec","spec":{"spec-id":0,"fields":[{"source-id":2,"field-id":1000,"name":"day","transform":"identity"}]}},
		{"action":"set-default-spec","spec-id":-1},
		{"action":"add-sort-order","sort-order":{"order-id":0,"fields":[]}},
		{"action":"set-default-sort-order","sort-order-id":-1},
		{"action":"set-location","location":%q},
		{"action":"set-properties","updates":{"p":"1"}}]}`,
		staged.text("metadata", "table-uuid"), schemaJSON, staged.text("metadata", "location"))
	done := s.ask("POST", "/v1/namespaces/n/tables/a", commit).want(200)
	for _, key := range []string{"table-uuid", "location", "schemas", "partition-specs", "sort-orders", "properties", "format-version", "last-column-id", "last-partition-id"} {
		if got, want := done.text("metadata", key), staged.text("metadata", key); got != want {
			t.Errorf("%s = %s, want as staged %s", key, got, want)
		}
	}
	s.ask("POST", "/v1/namespaces/n/tables/a", commit).wantError(409, "CommitFailedException")
	if got := s.files(); len(got) != 1 {
		t.Errorf("files = %q, want one", got)
	}
}

func TestTransactionCreatesAndCommitsTogether(t *testing.T) {
	s := newSite(t)
	s.create("a")
	s.create("b")
	change := func(name, requirement string) string {
		return fmt.Sprintf(`{"identifier":{"namespace":["n"],"name":%q},"requirements":[%s],"updates":[{"action":"set-properties","updates":{"q":%q}}]}`,
			name, requirement, name)
	}
	body := func(requirement string) string {
		return `{"table-changes":[` + change("a", "") + "," + change("b", requirement) + `]}`
	}
	before := s.files()
	s.ask("POST", "/v1/transactions/commit", body(`{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":1}`)).
		wantError(409, "CommitFailedException")
	if got := s.ask("GET", "/v1/namespaces/n/tables/a", "").text("metadata", "properties", "q"); got != "<nil>" {
		t.Errorf("a has q = %s after a transaction that failed", got)
	}
	if got := s.files(); !slices.Equal(got, before) {
		t.Errorf("files = %q, want those before %q", got, before)
	}
	s.ask("POST", "/v1/transactions/commit", body(`{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":null}`)).want(204)
	for _, name := range []string{"a", "b"} {
		if got := s.ask("GET", "/v1/namespaces/n/tables/"+name, "").text("metadata", "properties", "q"); got != name {
			t.Errorf("%s has q = %s, want %s", name, got, name)
		}
	}
}

func TestCommitThatLosesARaceIsPlannedAgain(t *testing.T) {
	s := newSite(t)
	s.create("a")
	s.storage.before = func() { // another process commits first
		s.storage.before = nil
		s.ask("POST", "/v1/namespaces/n/tables/a", `{"requirements":[],"updates":[{"action":"set-properties","updates":{"r":"3"}}]}`).want(200)
	}
	done := s.ask("POST", "/v1/namespaces/n/tables/a", setQ).want(200)
	if done.text("metadata", "properties", "q") != "2" || done.text("metadata", "properties", "r") != "3" {
		t.Errorf("properties = %s, want those of both commits", done.text("metadata", "properties"))
	}
	if got := s.files(); len(got) != 3 {
		t.Errorf("files = %q, want three: that of the first try is removed", got)
	}
}

func TestOutcomeThatIsNotKnownIsSaidSoAndDeletesNothing(t *testing.T) {
	for name, after := range map[string]func(error) error{
		"it happened":   func(err error) error { return errors.Join(err, errors.New("connection lost")) },
		"it may happen": func(error) error { return context.DeadlineExceeded },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.create("a")
			s.storage.after = after
			s.ask("POST", "/v1/namespaces/n/tables/a", setQ).wantError(500, "CommitStateUnknownException")
			s.ask("DELETE", "/v1/namespaces/n/tables/a", "").wantError(500, "CommitStateUnknownException")
			if got := s.files(); len(got) != 2 {
				t.Errorf("files = %q, want two: what may be the table's is kept", got)
			}
		})
	}
}

func TestWarehouseFailuresAreNamed(t *testing.T) {
	for fault, want := range map[error]struct {
		status int
		kind   string
	}{
		storage.ErrPermission:    {403, "ForbiddenException"},
		storage.ErrNoSpace:       {507, "InsufficientStorageException"},
		errors.New("disk burns"): {500, "InternalServerError"},
	} {
		s := newSite(t)
		s.create("a")
		s.store.Inject(storage.Fault{Match: storage.On(storage.OpPut, "metadata"), Err: fault})
		s.ask("POST", "/v1/namespaces/n/tables/a", setQ).wantError(want.status, want.kind)
	}
}

func TestOldMetadataGoesOnlyWhereTheTableAsks(t *testing.T) {
	for enabled, want := range map[string]int{"true": 3, "false": 6} {
		s := newSite(t)
		s.ask("POST", "/v1/namespaces/n/tables", strings.Replace(createJSON, `"p":"1"`,
			`"write.metadata.delete-after-commit.enabled":"`+enabled+`","write.metadata.previous-versions-max":"2"`, 1)).want(200)
		for i := range 5 {
			s.ask("POST", "/v1/namespaces/n/tables/a", strings.Replace(setQ, `"2"`, fmt.Sprintf(`"%d"`, i), 1)).want(200)
		}
		if got := s.files(); len(got) != want {
			t.Errorf("with %s: %d files %q, want %d", enabled, len(got), got, want)
		}
		s.ask("GET", "/v1/namespaces/n/tables/a", "").want(200)
	}
}

func TestMetadataFilesArePlainJSON(t *testing.T) {
	s := newSite(t)
	at := s.ask("POST", "/v1/namespaces/n/tables", strings.Replace(createJSON, `"p":"1"`, `"write.metadata.compression-codec":"gzip"`, 1)).
		want(200).text("metadata-location")
	raw, err := s.store.Get(t.Context(), at)
	if err != nil || !json.Valid(raw) || !bytes.Contains(raw, []byte(`"format-version":2`)) {
		t.Errorf("%s holds %.80q, %v, want JSON of a table of version 2", at, raw, err)
	}
}
