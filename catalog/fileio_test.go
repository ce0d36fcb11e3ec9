package catalog_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/iotest"

	icebergio "github.com/apache/iceberg-go/io"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
)

func openFileIO(t *testing.T, store storage.Store) icebergio.WriteFileIO {
	t.Helper()
	opened, err := catalog.FileIO(store)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return opened.(icebergio.WriteFileIO)
}

func TestFileIOReadsLikeAFile(t *testing.T) {
	store, err := storage.OpenLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	files := openFileIO(t, store)
	content := bytes.Repeat([]byte("0123456789"), 200_000)
	short := "file:" + strings.TrimPrefix(store.Root(), "file://") + "/x" // as Hadoop writes it
	if err := files.WriteFile(short, content); err != nil {
		t.Fatal(err)
	}
	file, err := files.Open(store.Root() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := iotest.TestReader(file, content); err != nil {
		t.Error(err)
	}
	if info, err := file.Stat(); err != nil || info.Size() != int64(len(content)) || info.Name() != "x" {
		t.Errorf("Stat = %v, %v, want x of %d bytes", info, err, len(content))
	}
}

func TestFileIOCreatesOnlyAndWhole(t *testing.T) {
	store := storage.NewMemory("mem://lake")
	files := openFileIO(t, store)
	w, err := files.Create("mem://lake/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ReadFrom(strings.NewReader("whole")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := files.(icebergio.ReadFileIO).ReadFile("mem://lake/a"); err != nil || string(got) != "whole" {
		t.Errorf("ReadFile = %q, %v, want %q", got, err, "whole")
	}
	if err := files.WriteFile("mem://lake/a", nil); !errors.Is(err, storage.ErrExists) {
		t.Errorf("WriteFile over it = %v, want ErrExists", err)
	}

	store.Inject(storage.Fault{Match: storage.On(storage.OpWrite, "broken"), Err: storage.ErrNoSpace})
	broken, err := files.Create("mem://lake/broken")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(broken, "x"); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("Write = %v, want ErrNoSpace", err)
	}
	if err := broken.Close(); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("Close after a failed write = %v, want its error", err)
	}
	if _, err := files.Open("mem://lake/broken"); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("Open of it = %v, want fs.ErrNotExist", err)
	}
	if err := files.Remove("mem://lake/a"); err != nil {
		t.Fatal(err)
	}
	if _, err := files.(icebergio.ReadFileIO).ReadFile("mem://lake/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile after Remove = %v, want fs.ErrNotExist", err)
	}
}
