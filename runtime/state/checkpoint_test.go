package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

var errReply = errors.New("reply lost")

func TestCheckpointOverAFaultyStore(t *testing.T) {
	for name, row := range map[string]struct {
		fault storage.Fault
		land  bool
		want  error // nil: the checkpoint succeeds
	}{
		"replies lost":       {fault: storage.Fault{Mode: storage.FaultAfter, Err: errReply}},
		"taken by ourselves": {fault: storage.Fault{Mode: storage.FaultAfter, Err: storage.ErrExists}},
		"not done at first":  {fault: storage.Fault{Mode: storage.FaultBefore, Err: errReply, Times: 4}},
		"done late":          {fault: storage.Fault{Mode: storage.FaultLate, Err: errReply, Times: 2}, land: true},
		"never done":         {fault: storage.Fault{Mode: storage.FaultBefore, Err: errReply}, want: errReply},
		"not permitted":      {fault: storage.Fault{Mode: storage.FaultBefore, Err: storage.ErrPermission}, want: storage.ErrPermission},
		"store full":         {fault: storage.Fault{Mode: storage.FaultBefore, Err: storage.ErrNoSpace, Times: 1}, want: storage.ErrNoSpace},
	} {
		t.Run(name, func(t *testing.T) {
			r, before, old := saved(t)
			if row.land {
				r.config.pause = func(context.Context, int) error { r.objects.LandLate(); return nil }
			}
			s := r.open(before)
			defer func() { r.close(s) }()
			p := r.space(s, "sessions", 1)
			changes, want := rows(5000, "new")
			r.write(p, changes...)
			row.fault.Match = func(c storage.Call) bool { return c.Op == storage.OpPut }
			heal := r.objects.Inject(row.fault)
			m, _, err := s.Checkpoint(t.Context(), r.names)
			heal()
			if !errors.Is(err, row.want) {
				t.Fatalf("checkpoint: got %v, want %v", err, row.want)
			}
			r.wants(p, want) // as it was, whatever became of the upload
			if row.want != nil {
				r.rollback(s, before)
				r.wants(p, old)
				r.write(p, changes...)
				m, _ = r.checkpoint(s)
			}
			r.close(s)
			r.dir = t.TempDir()
			s = r.open(m)
			r.wants(r.space(s, "sessions", 1), want)
		})
	}
}

func TestNameThatHoldsOtherBytesIsABug(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	defer s.Close()
	r.write(r.space(s, "sessions", 1), keyvalue.Change{Key: []byte("k"), Value: []byte("v")})
	taken := prefix + "/" + (&sequence{}).Next()
	if err := r.objects.Put(t.Context(), taken, []byte("another's")); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.Checkpoint(t.Context(), r.names)
	if !errors.Is(err, storage.ErrExists) || !strings.Contains(err.Error(), taken) {
		t.Fatalf("checkpoint: got %v, want ErrExists with %s", err, taken)
	}
	r.checkpoint(s) // under other names
}

func TestCheckpointWithoutWritesReturnsTheFormerManifest(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	defer s.Close()
	if m, stats := r.checkpoint(s); m != nil || stats != (Stats{}) {
		t.Fatalf("checkpoint of nothing: got %v, %+v, want none", m, stats)
	}
	changes, want := rows(3000, "v")
	p := r.space(s, "sessions", 1)
	r.write(p, changes...)
	first, stats := r.checkpoint(s)
	if stats.Files < 2 || stats.Bytes < stats.TotalBytes {
		t.Errorf("first checkpoint: got %+v, want everything uploaded", stats)
	}
	calls := len(r.objects.Calls())
	again, idle := r.checkpoint(s)
	if *again != *first || idle.Files != 0 || idle.Bytes != 0 || idle.TotalBytes != stats.TotalBytes {
		t.Errorf("checkpoint without writes: got %v, %+v, want %v", again, idle, first)
	}
	r.rollback(s, first)
	if n := len(r.objects.Calls()); n != calls {
		t.Errorf("%d operations on objects, want none", n-calls)
	}
	r.wants(p, want)
}

func TestUploadsAreOfWhatChanged(t *testing.T) {
	r := newRig(t)
	r.config.tune = nil
	s := r.open(nil)
	defer s.Close()
	changes, want := rows(50_000, "v")
	p := r.space(s, "sessions", 1)
	r.write(p, changes...)
	_, first := r.checkpoint(s)
	for _, c := range changes[:500] {
		c.Value = []byte("changed")
		r.write(p, c)
		want[string(c.Key)] = "changed"
	}
	m, second := r.checkpoint(s)
	if second.Bytes*10 > first.Bytes {
		t.Errorf("1%% of the keys changed: %d bytes uploaded, at first %d", second.Bytes, first.Bytes)
	}
	r.close(s)
	r.dir = t.TempDir()
	s = r.open(m)
	r.wants(r.space(s, "sessions", 1), want)
}

func TestOnlyLiveObjectsAreNeeded(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	p := r.space(s, "sessions", 1)
	var m *Manifest
	var want map[string]string
	for _, version := range []string{"a", "b", "c", "d"} {
		var changes []keyvalue.Change
		changes, want = rows(3000, version)
		r.write(p, changes...)
		m, _ = r.checkpoint(s)
	}
	r.close(s)
	live := r.live(m)
	removed := 0
	for object, err := range r.objects.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if !live[object.Location] {
			removed++
			if err := r.objects.Delete(t.Context(), object.Location); err != nil {
				t.Fatal(err)
			}
		}
	}
	if removed == 0 {
		t.Error("no object became garbage in four epochs that overwrite everything")
	}
	r.dir = t.TempDir()
	s = r.open(m)
	defer s.Close()
	r.wants(r.space(s, "sessions", 1), want)
}

func TestFormerFoldersAreRemoved(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	defer s.Close()
	p := r.space(s, "sessions", 1)
	for i := range 5 {
		r.write(p, keyvalue.Change{Key: []byte("k"), Value: fmt.Append(nil, i)})
		r.checkpoint(s)
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	kept := slices.DeleteFunc(slices.Clone(folders), func(name string) bool { return !strings.HasPrefix(name, keptPrefix) })
	if len(kept) != 2 || len(folders) != 3 {
		t.Errorf("folders: got %v, want live and the two newest manifests", folders)
	}
}

// brokenDisk fails writes of tables while it is broken.
func brokenDisk(broken *atomic.Bool, err error) vfs.FS {
	return errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && strings.HasSuffix(op.Path, ".sst") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return err
		}
		return nil
	}))
}

func TestFailingDiskEndsInAnErrorAndRollbackHeals(t *testing.T) {
	r, m, want := saved(t)
	var broken atomic.Bool
	full := errors.New("disk is full")
	r.config.fs = brokenDisk(&broken, full)
	s := r.open(m)
	defer s.Close()
	p := r.space(s, "sessions", 1)
	broken.Store(true)
	changes, _ := rows(20_000, "lost") // many times what may wait in memory
	var err error
	for i := 0; i < len(changes) && err == nil; i += 100 {
		err = p.Write(changes[i : i+100])
	}
	if err == nil {
		_, _, err = s.Checkpoint(t.Context(), r.names)
	}
	if !errors.Is(err, full) {
		t.Fatalf("got %v, want %v", err, full)
	}
	if _, err := p.Get([][]byte{nil}); !errors.Is(err, full) {
		t.Errorf("get: got %v, want %v until the state is put back", err, full)
	}
	broken.Store(false)
	r.rollback(s, m)
	r.wants(p, want)
}

func TestReadersRunBesideWritesAndCheckpoints(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	p := r.space(s, "sessions", 1)
	r.write(p, keyvalue.Change{Key: []byte("k"), Value: []byte("v")})
	m, _ := r.checkpoint(s)
	var readers sync.WaitGroup
	var ends atomic.Bool
	for range 2 {
		readers.Go(func() {
			for !ends.Load() {
				_, err := p.Get([][]byte{[]byte("k"), []byte("key 000001")})
				if err == nil {
					err = p.Scan(nil, nil, func(_, _ []byte) (bool, error) { return !ends.Load(), nil })
				}
				if err == nil {
					_, err = s.Models()
				}
				if err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("read: %v", err)
					return
				}
				_ = s.Metrics()
			}
		})
	}
	for i := range 12 {
		changes, _ := rows(2000, string(rune('a'+i)))
		r.write(p, changes...)
		next, _ := r.checkpoint(s)
		if i%3 == 2 {
			r.rollback(s, m)
		} else {
			m = next
		}
	}
	ends.Store(true)
	readers.Wait()
	r.close(s)
}

func TestMetricsTellOfTheTree(t *testing.T) {
	r := newRig(t)
	s := r.open(nil)
	defer s.Close()
	changes, _ := rows(5000, "v")
	r.write(r.space(s, "sessions", 1), changes...)
	_, stats := r.checkpoint(s)
	got := s.Metrics()
	if got.Files == 0 || got.Bytes == 0 || got.FlushedBytes == 0 || got.ReadLevels == 0 || got.Bytes > 2*stats.TotalBytes {
		t.Errorf("metrics: got %+v after a checkpoint of %d bytes", got, stats.TotalBytes)
	}
}
