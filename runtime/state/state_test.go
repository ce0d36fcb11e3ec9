package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

const prefix = "mem://lake/_calve/shop/state"

// sequence hands out object names of one epoch.
type sequence struct{ n int }

func (s *sequence) Next() string { s.n++; return fmt.Sprintf("7-00112233445566ff-%d", s.n) }

// rig is a warehouse and a local disk.
type rig struct {
	*testing.T
	objects *storage.Memory
	dir     string
	names   *sequence
	config  Config
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, objects: storage.NewMemory("mem://lake"), dir: t.TempDir(), names: &sequence{}}
	r.config = Config{
		Prefix: prefix, CacheBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler), tune: busy,
		pause: func(ctx context.Context, _ int) error { return ctx.Err() },
	}
	return r
}

// busy makes a tree flush and compact after few keys.
func busy(o *pebble.Options) {
	o.MemTableSize = 64 << 10
	o.L0CompactionThreshold = 2
	o.LBaseMaxBytes = 64 << 10
	for i := range o.TargetFileSizes {
		o.TargetFileSizes[i] = 16 << 10
	}
}

func (r *rig) at(m *Manifest) Config {
	c := r.config
	c.Dir, c.Objects, c.Manifest = r.dir, r.objects, m
	return c
}

func (r *rig) open(m *Manifest) *Store {
	r.Helper()
	s, err := Open(r.Context(), r.at(m))
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func (r *rig) close(s *Store) {
	r.Helper()
	if err := s.Close(); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) space(s *Store, model string, version int) *Space {
	r.Helper()
	p, err := s.Space(model, version)
	if err != nil {
		r.Fatal(err)
	}
	return p
}

func (r *rig) write(p *Space, changes ...keyvalue.Change) {
	r.Helper()
	if err := p.Write(changes); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) checkpoint(s *Store) (*Manifest, Stats) {
	r.Helper()
	m, stats, err := s.Checkpoint(r.Context(), r.names)
	if err != nil {
		r.Fatal(err)
	}
	return m, stats
}

func (r *rig) rollback(s *Store, to *Manifest) {
	r.Helper()
	if err := s.Rollback(r.Context(), to); err != nil {
		r.Fatal(err)
	}
}

// wants compares all keys of a model with a map, by Scan and by Get.
func (r *rig) wants(p *Space, want map[string]string) {
	r.Helper()
	got := map[string]string{}
	last := ""
	err := p.Scan(nil, nil, func(key, value []byte) (bool, error) {
		if len(got) > 0 && string(key) <= last {
			r.Errorf("scan: key %q after %q", key, last)
		}
		last = string(key)
		got[last] = string(value)
		return true, nil
	})
	if err != nil {
		r.Fatal(err)
	}
	if !maps.Equal(got, want) {
		r.Fatalf("scan of %s: got %d keys, want %d: %s", p.model, len(got), len(want), difference(got, want))
	}
	var keys [][]byte
	for key := range want {
		keys = append(keys, []byte(key))
	}
	keys = append(keys, []byte("there is no such key"))
	values, err := p.Get(keys)
	if err != nil {
		r.Fatal(err)
	}
	for i, key := range keys {
		if w, ok := want[string(key)]; string(values[i]) != w || (values[i] != nil) != ok {
			r.Fatalf("get %q of %s: got %q, want %q (there: %v)", key, p.model, values[i], w, ok)
		}
	}
}

func difference(got, want map[string]string) string {
	for key, w := range want {
		if g, ok := got[key]; !ok || g != w {
			return fmt.Sprintf("%q is %q (there: %v), want %q", key, g, ok, w)
		}
	}
	for key, g := range got {
		if _, ok := want[key]; !ok {
			return fmt.Sprintf("%q is %q, want none", key, g)
		}
	}
	return "none"
}

// rows makes n changes, and the map that they leave.
func rows(n int, version string) ([]keyvalue.Change, map[string]string) {
	var changes []keyvalue.Change
	want := map[string]string{}
	for i := range n {
		key, value := fmt.Sprintf("key %06d", i*7919%n), strings.Repeat(fmt.Sprint(version, i), 9)
		changes = append(changes, keyvalue.Change{Key: []byte(key), Value: []byte(value)})
		want[key] = value
	}
	return changes, want
}

// files lists the local files whose names match, in folders whose names match.
func (r *rig) files(folder, name string) []string {
	r.Helper()
	paths, err := filepath.Glob(filepath.Join(r.dir, folder, name))
	if err != nil || len(paths) == 0 {
		r.Fatalf("no files %s in %s (%v)", name, folder, err)
	}
	return paths
}

func TestWritesAreSeenAtOnceAndOverwriteInOrder(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	defer s.Close()
	p := r.space(s, "sessions", 1)
	r.wants(p, map[string]string{})
	r.write(p, keyvalue.Change{Key: []byte("a"), Value: []byte("1")}, keyvalue.Change{Key: []byte("a"), Value: []byte("2")},
		keyvalue.Change{Key: nil, Value: []byte("empty key")}, keyvalue.Change{Key: []byte("e"), Value: []byte{}},
		keyvalue.Change{Key: []byte("gone"), Value: []byte("x")}, keyvalue.Change{Key: []byte("gone")})
	r.wants(p, map[string]string{"a": "2", "": "empty key", "e": ""})
	r.write(p, keyvalue.Change{Key: []byte("a")})
	r.wants(p, map[string]string{"": "empty key", "e": ""})
}

func TestValuesOfGetAreTheCallers(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	defer s.Close()
	p := r.space(s, "sessions", 1)
	r.write(p, keyvalue.Change{Key: []byte("a"), Value: []byte("1")}, keyvalue.Change{Key: []byte("b"), Value: []byte("2")})
	values, err := p.Get([][]byte{[]byte("b"), []byte("a"), []byte("b")})
	if err != nil {
		t.Fatal(err)
	}
	_ = append(values[1], "overrun"...)
	if got, want := fmt.Sprintf("%s", values), "[2 1 2]"; got != want {
		t.Errorf("values: got %s, want %s", got, want)
	}
}

func TestScanKeepsToItsRange(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	defer s.Close()
	p := r.space(s, "sessions", 1)
	for _, key := range []string{"", "a", "b", "b\x00", "c", "\xff\xff\xff\xff\xff"} {
		r.write(p, keyvalue.Change{Key: []byte(key), Value: []byte("v")})
	}
	none := errors.New("stop")
	for _, row := range []struct {
		from, to string
		open     bool
		limit    int
		err      error
		want     string
	}{
		{open: true, limit: 9, want: `["" "a" "b" "b\x00" "c" "\xff\xff\xff\xff\xff"]`},
		{from: "b", open: true, limit: 9, want: `["b" "b\x00" "c" "\xff\xff\xff\xff\xff"]`},
		{from: "a", to: "c", limit: 9, want: `["a" "b" "b\x00"]`},
		{from: "a", open: true, limit: 2, want: `["a" "b"]`},
		{from: "c", to: "a", limit: 9, want: `[]`},
		{to: "", limit: 9, want: `[]`},
		{open: true, limit: 1, err: none, want: `[""]`},
	} {
		got := []string{}
		var to []byte
		if !row.open {
			to = []byte(row.to)
		}
		err := p.Scan([]byte(row.from), to, func(key, _ []byte) (bool, error) {
			got = append(got, string(key))
			return len(got) < row.limit, row.err
		})
		if !errors.Is(err, row.err) || fmt.Sprintf("%q", got) != row.want {
			t.Errorf("scan %q to %q: got %q, %v, want %s, %v", row.from, row.to, got, err, row.want, row.err)
		}
	}
}

func TestKeysOfModelsNeverMeet(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	defer s.Close()
	spaces := map[string]*Space{}
	for _, model := range []string{"a", "ab", "b"} {
		spaces[model] = r.space(s, model, 1)
		r.write(spaces[model], keyvalue.Change{Key: nil, Value: []byte(model)}, keyvalue.Change{Key: bytes.Repeat([]byte{0xff}, 9), Value: []byte(model)})
	}
	all := strings.Repeat("\xff", 9)
	for model, p := range spaces {
		r.wants(p, map[string]string{"": model, all: model})
	}
	if err := s.Reset("ab"); err != nil {
		t.Fatal(err)
	}
	r.wants(spaces["a"], map[string]string{"": "a", all: "a"})
	r.wants(spaces["ab"], map[string]string{})
	r.wants(spaces["b"], map[string]string{"": "b", all: "b"})
	r.write(spaces["ab"], keyvalue.Change{Key: []byte("k"), Value: []byte("new")})
	r.wants(spaces["ab"], map[string]string{"k": "new"})
}

func TestStateOfAnotherVersionIsRefusedUntilReset(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	defer func() { r.close(s) }()
	r.write(r.space(s, "sessions", 1), keyvalue.Change{Key: []byte("k"), Value: []byte("v")})
	before, _ := r.checkpoint(s)
	r.close(s)
	s = r.open(before)
	_, err := s.Space("sessions", 2)
	if !errors.Is(err, ErrModelVersion) || !strings.Contains(err.Error(), "--reset-model sessions") {
		t.Fatalf("space of version 2: got %v, want ErrModelVersion with the way out", err)
	}
	if err := s.Reset("sessions"); err != nil {
		t.Fatal(err)
	}
	p := r.space(s, "sessions", 2)
	r.wants(p, map[string]string{})
	r.write(p, keyvalue.Change{Key: []byte("k"), Value: []byte("v2")})
	if err := r.space(s, "other", 1).Write(nil); err != nil {
		t.Fatal(err)
	}
	// Before the reset the state was of version 1, and is again.
	r.rollback(s, before)
	if _, err := p.Get([][]byte{[]byte("k")}); !errors.Is(err, ErrModelVersion) {
		t.Errorf("get after the reset was undone: got %v, want ErrModelVersion", err)
	}
	r.wants(r.space(s, "sessions", 1), map[string]string{"k": "v"})
}

func TestModelsAreListedWithTheirSize(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	defer s.Close()
	changes, _ := rows(5000, "v")
	r.write(r.space(s, "big", 3), changes...)
	r.write(r.space(s, "small", 1), changes[:50]...)
	m, _ := r.checkpoint(s)
	contents, err := Read(t.Context(), r.objects, *m)
	if err != nil {
		t.Fatal(err)
	}
	now, err := s.Models()
	if err != nil {
		t.Fatal(err)
	}
	for _, models := range [][]Model{contents.Models, now} {
		if len(models) != 2 || models[0].Name != "big" || models[0].Version != 3 || models[1].Name != "small" {
			t.Fatalf("models: got %+v, want big of version 3 and small", models)
		}
		if keys := models[0].Keys; keys < 4000 || keys > 8000 {
			t.Errorf("keys of big: got about %d, want about 5000", keys)
		}
		if keys := models[1].Keys; keys < 1 || keys > 500 {
			t.Errorf("keys of small: got about %d, want about 50", keys)
		}
	}
}

func TestRollbackReturnsToTheDecidedManifest(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	defer s.Close()
	p := r.space(s, "sessions", 1)
	old, want := rows(3000, "old")
	r.write(p, old...)
	decided, _ := r.checkpoint(s)
	lost, _ := rows(4000, "lost")
	r.write(p, lost...)
	undecided, _ := r.checkpoint(s) // its record is never put
	r.write(p, lost[:9]...)
	calls := len(r.objects.Calls())
	r.rollback(s, decided)
	if n := len(r.objects.Calls()); n != calls {
		t.Errorf("%d operations on objects, want a rollback from the local disk", n-calls)
	}
	r.wants(p, want)
	changes, _ := rows(10, "next")
	r.write(p, changes...)
	for _, c := range changes {
		want[string(c.Key)] = string(c.Value)
	}
	next, _ := r.checkpoint(s)
	orphans := r.live(undecided)
	for location := range r.live(next) {
		if orphans[location] && !r.live(decided)[location] {
			t.Errorf("%s of an epoch that was given up is part of the next", location)
		}
	}
	r.rollback(s, nil)
	r.wants(p, map[string]string{})
	r.rollback(s, next)
	r.wants(p, want)
}

func (r *rig) live(m *Manifest) map[string]bool {
	r.Helper()
	list, err := Live(r.Context(), r.objects, *m)
	if err != nil {
		r.Fatal(err)
	}
	set := map[string]bool{}
	for _, location := range list {
		set[location] = true
	}
	return set
}
