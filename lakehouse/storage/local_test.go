package storage_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse/storage"
)

func TestLocalNamesItsRootAsAFileLocation(t *testing.T) {
	dir := t.TempDir()
	for _, root := range []string{dir, dir + "/", "file://" + dir, "file:" + dir} {
		s, err := storage.OpenLocal(root)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.Root(), "file://"+dir; got != want {
			t.Errorf("OpenLocal(%s).Root() = %s, want %s", root, got, want)
		}
	}
	if _, err := storage.OpenLocal("/"); err == nil {
		t.Error("OpenLocal(/) = nil, want it refused")
	}
}

func TestLocalIgnoresLitterOfACrash(t *testing.T) {
	dir := t.TempDir()
	s := openLocal(t, dir)
	w, err := s.Create(t.Context(), s.Root()+"/data/x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	litter, err := filepath.Glob(dir + "/data/.calve-tmp-*")
	if err != nil || len(litter) != 1 {
		t.Fatalf("temporary files = %q, want one beside the object", litter)
	}
	next := openLocal(t, dir)
	for object, err := range next.List(t.Context(), next.Root()) {
		t.Errorf("listed %v, %v, want nothing", object, err)
	}
	if _, err := next.Get(t.Context(), "file://"+litter[0]); !errors.Is(err, storage.ErrOutside) {
		t.Errorf("Get of a temporary file = %v, want it refused", err)
	}
	if err := next.Put(t.Context(), s.Root()+"/data/x", []byte("y")); err != nil {
		t.Errorf("Put of the name = %v, want nil", err)
	}
	w.Abort()
	if litter, _ = filepath.Glob(dir + "/data/.calve-tmp-*"); len(litter) != 0 {
		t.Errorf("temporary files after Abort = %q, want none", litter)
	}
}

func TestLocalLeavesNoTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	s := openLocal(t, dir)
	for range 2 { // the second is refused
		_ = s.Put(t.Context(), s.Root()+"/x", []byte("x"))
		_ = write(s, s.Root()+"/y", []byte("y"))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("folder holds %v, %v, want x and y", entries, err)
	}
}

func TestLocalMakesAFolderAgainThatWasRemoved(t *testing.T) {
	dir := t.TempDir()
	s := openLocal(t, dir)
	for _, name := range []string{"/a/b/1", "/a/b/2"} {
		if err := s.Put(t.Context(), s.Root()+name, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir + "/a"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLocalObjectWhereAFolderShouldBe(t *testing.T) {
	s := openLocal(t, t.TempDir())
	if err := s.Put(t.Context(), s.Root()+"/a", nil); err != nil {
		t.Fatal(err)
	}
	err := s.Put(t.Context(), s.Root()+"/a/b", nil)
	if err == nil || errors.Is(err, storage.ErrExists) {
		t.Errorf("Put below an object = %v, want an error other than ErrExists", err)
	}
}

func TestLocalWithoutPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		runAsNobody(t)
		return
	}
	withoutPermission(t, t.TempDir())
}

func withoutPermission(t *testing.T, dir string) {
	s := openLocal(t, dir)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o755)
	if err := s.Put(t.Context(), s.Root()+"/x", nil); !errors.Is(err, storage.ErrPermission) {
		t.Errorf("Put = %v, want ErrPermission", err)
	}
	err := storage.Probe(t.Context(), s, s.Root()+"/_calve")
	if !errors.Is(err, storage.ErrPermission) || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("Probe = %v, want ErrPermission and what to do", err)
	}
}

func openLocal(t *testing.T, dir string) *storage.Local {
	t.Helper()
	s, err := storage.OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// runAsNobody repeats the calling test in a process of an ordinary user, since
// permissions do not bind the superuser.
func runAsNobody(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "calve-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(executable)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "test")
	if err := os.WriteFile(binary, self, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary, "-test.run=^"+t.Name()+"$", "-test.v")
	command.Dir = dir
	command.Env = []string{"TMPDIR=" + dir}
	asNobody(command)
	if out, err := command.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
}
