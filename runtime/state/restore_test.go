package state

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// saved is a rig with a state of some files, closed, its manifest and keys.
func saved(t *testing.T) (*rig, *Manifest, map[string]string) {
	r := newRig(t)
	s := r.open(nil)
	changes, want := rows(5000, "v")
	r.write(r.space(s, "sessions", 1), changes...)
	m, _ := r.checkpoint(s)
	r.close(s)
	return r, m, want
}

func (r *rig) reads() int {
	n := 0
	for _, call := range r.objects.Calls() {
		if call.Op == storage.OpGet {
			n++
		}
	}
	return n
}

// replace puts other bytes under an object's name; nil removes it.
func (r *rig) replace(location string, change func([]byte) []byte) {
	r.Helper()
	body, err := r.objects.Get(r.Context(), location)
	if err == nil {
		err = r.objects.Delete(r.Context(), location)
	}
	if body = change(body); err == nil && body != nil {
		err = r.objects.Put(r.Context(), location, body)
	}
	if err != nil {
		r.Fatal(err)
	}
}

var damages = map[string]func([]byte) []byte{
	"truncated": func(b []byte) []byte { return b[:len(b)/2] },
	"flipped":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
	"missing":   func([]byte) []byte { return nil },
}

func TestDamagedObjectIsNamedAndNothingRuns(t *testing.T) {
	for name, damage := range damages {
		for _, suffix := range []string{".sst", "MANIFEST", ""} {
			t.Run(name+" "+suffix, func(t *testing.T) {
				r, m, _ := saved(t)
				location := m.Location
				contents, err := Read(t.Context(), r.objects, *m)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range contents.Files {
					if suffix != "" && f.Object != "" && strings.Contains(f.Name, suffix) {
						location = m.beside(f.Object)
					}
				}
				r.replace(location, damage)
				r.dir = t.TempDir()
				_, err = Open(t.Context(), r.at(m))
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), location) {
					t.Fatalf("open: got %v, want ErrCorrupt with %s", err, location)
				}
				if _, err := os.Stat(filepath.Join(r.dir, liveFolder)); err == nil {
					t.Error("a tree was made of corrupt files")
				}
				r.close(r.open(nil)) // the folder is not left locked
			})
		}
	}
}

func TestUnreadableObjectIsNotCorrupt(t *testing.T) {
	r, m, want := saved(t)
	r.dir = t.TempDir()
	gone := errors.New("network is down")
	heal := r.objects.Inject(storage.Fault{Match: func(c storage.Call) bool {
		return c.Op == storage.OpGet && c.Location != m.Location
	}, Err: gone})
	if _, err := Open(t.Context(), r.at(m)); !errors.Is(err, gone) || errors.Is(err, ErrCorrupt) {
		t.Fatalf("open without a network: got %v", err)
	}
	heal()
	s := r.open(m)
	defer s.Close()
	r.wants(r.space(s, "sessions", 1), want)
}

func TestOnlyDamagedLocalFilesAreDownloaded(t *testing.T) {
	for _, folder := range []string{liveFolder, keptPrefix + "*"} {
		for name, damage := range damages {
			t.Run(folder+" "+name, func(t *testing.T) {
				r, m, want := saved(t)
				other := filepath.Join(r.dir, liveFolder)
				if folder == liveFolder {
					other = r.files(keptPrefix+"*", "")[0]
				}
				if err := os.RemoveAll(other); err != nil { // one copy is left
					t.Fatal(err)
				}
				path := r.files(folder, "*.sst")[0]
				body, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if body = damage(body); body != nil {
					if err := os.WriteFile(path, body, fileMode); err != nil {
						t.Fatal(err)
					}
				}
				before := r.reads()
				s := r.open(m)
				defer s.Close()
				r.wants(r.space(s, "sessions", 1), want)
				// The manifest, the damaged file; a live tree has gone on to
				// write its own list of files, and may have compacted.
				if n := r.reads() - before; folder != liveFolder && n != 2 {
					t.Errorf("%d objects read, want the manifest and one file", n)
				}
			})
		}
	}
}

func TestIntactFolderNeedsNoDownload(t *testing.T) {
	r, m, want := saved(t)
	before := r.reads()
	s := r.open(m)
	defer s.Close()
	if n := r.reads() - before; n != 1 {
		t.Errorf("%d objects read, want the manifest alone", n)
	}
	r.wants(r.space(s, "sessions", 1), want)
}

func TestStateThatIsAheadIsPutBack(t *testing.T) {
	r, m, want := saved(t)
	s := r.open(m)
	changes, _ := rows(4000, "ahead")
	r.write(r.space(s, "sessions", 1), changes...)
	ahead, _ := r.checkpoint(s)
	r.close(s)
	s = r.open(m)
	r.wants(r.space(s, "sessions", 1), want)
	r.close(s)
	if contents, err := Read(t.Context(), r.objects, *ahead); err != nil || len(contents.Files) == 0 {
		t.Errorf("the newer manifest: got %v, %v, want it left alone", contents, err)
	}
	s = r.open(nil)
	defer s.Close()
	r.wants(r.space(s, "sessions", 1), map[string]string{})
}

func TestLostFolderIsRestoredWithoutItsPlace(t *testing.T) {
	r, m, want := saved(t)
	r.dir = filepath.Join(t.TempDir(), "with [odd] *name?", "below")
	s := r.open(m)
	r.wants(r.space(s, "sessions", 1), want)
	r.close(s)
	before := r.reads()
	s = r.open(m)
	defer s.Close()
	if n := r.reads() - before; n != 1 {
		t.Errorf("%d objects read at the second start, want 1", n)
	}
}

func TestDamageWhileOpenIsSeenAndHealedByRollback(t *testing.T) {
	r, m, want := saved(t)
	s := r.open(m)
	defer s.Close()
	p := r.space(s, "sessions", 1)
	for _, path := range r.files(liveFolder, "*.sst") {
		file, err := os.OpenFile(path, os.O_WRONLY, 0) // in place: its links share the bytes
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(bytes.Repeat([]byte{0xa5}, 512), 100); err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	err := p.Scan(nil, nil, func(_, _ []byte) (bool, error) { return true, nil })
	if !errors.Is(err, ErrCorrupt) {
		t.Fatalf("scan of damaged files: got %v, want ErrCorrupt", err)
	}
	if err := p.Write([]keyvalue.Change{{Key: []byte("k"), Value: []byte("v")}}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("write after damage was seen: got %v, want ErrCorrupt", err)
	}
	if _, _, err := s.Checkpoint(t.Context(), r.names); !errors.Is(err, ErrCorrupt) {
		t.Errorf("checkpoint after damage was seen: got %v, want ErrCorrupt", err)
	}
	r.rollback(s, m)
	r.wants(p, want)
}

func TestSecondUserOfAFolderIsRefused(t *testing.T) {
	if dir := os.Getenv("CALVE_TEST_STATE_DIR"); dir != "" { // the second process
		r := newRig(t)
		r.dir = dir
		_, err := Open(t.Context(), r.at(nil))
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("open in a second process: got %v, want ErrInUse with the folder", err)
		}
		return
	}
	r := newRig(t)
	s := r.open(nil)
	if _, err := Open(t.Context(), r.at(nil)); !errors.Is(err, ErrInUse) {
		t.Errorf("open in the same process: got %v, want ErrInUse", err)
	}
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecondUserOfAFolderIsRefused$")
	other.Env = append(os.Environ(), "CALVE_TEST_STATE_DIR="+r.dir)
	if out, err := other.CombinedOutput(); err != nil {
		t.Errorf("second process: %v\n%s", err, out)
	}
	r.close(s)
	r.close(r.open(nil))
}

func TestNothingWorksAfterClose(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	p := r.space(s, "sessions", 1)
	r.close(s)
	_, spaceErr := s.Space("sessions", 1)
	_, getErr := p.Get([][]byte{nil})
	_, _, checkpointErr := s.Checkpoint(t.Context(), r.names)
	for name, err := range map[string]error{
		"space": spaceErr, "get": getErr, "write": p.Write([]keyvalue.Change{{}}), "checkpoint": checkpointErr,
		"reset": s.Reset("sessions"), "rollback": s.Rollback(t.Context(), nil),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after close: got %v, want ErrClosed", name, err)
		}
	}
	if m := s.Metrics(); m != (Metrics{}) {
		t.Errorf("metrics after close: got %+v, want none", m)
	}
}

func TestRestoreStopsWhenCancelled(t *testing.T) {
	r, m, _ := saved(t)
	r.dir = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	r.objects.Hook(func(e storage.Event) {
		if e.Op == storage.OpGet && e.Location != m.Location {
			cancel()
		}
	})
	if _, err := Open(ctx, r.at(m)); !errors.Is(err, context.Canceled) {
		t.Fatalf("open: got %v, want context.Canceled", err)
	}
}
