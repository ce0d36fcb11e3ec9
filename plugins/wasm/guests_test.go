package wasm

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// guests builds the Go plugins of testdata, once for the test binary.
var guests = struct {
	sync.Mutex
	dir   string
	built map[string][]byte
}{built: map[string][]byte{}}

func TestMain(m *testing.M) {
	code := m.Run()
	if guests.dir != "" {
		_ = os.RemoveAll(guests.dir)
	}
	os.Exit(code)
}

// guest is the module of a plugin below testdata/guests.
func guest(t testing.TB, name string) []byte {
	t.Helper()
	guests.Lock()
	defer guests.Unlock()
	if module, ok := guests.built[name]; ok {
		return module
	}
	module, err := buildGuest(name)
	if err != nil {
		t.Fatal(err)
	}
	guests.built[name] = module
	return module
}

func buildGuest(name string) ([]byte, error) {
	if guests.dir == "" {
		dir, err := os.MkdirTemp("", "calve-guests-")
		if err != nil {
			return nil, err
		}
		guests.dir = dir
	}
	if err := readSources(filepath.Join("testdata", "guests"), filepath.Join("..", "..", "sdk", "go")); err != nil {
		return nil, err
	}
	file := filepath.Join(guests.dir, name+".wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, "./"+name)
	cmd.Dir = filepath.Join("testdata", "guests")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build guest %s: %w\n%s", name, err, out)
	}
	return os.ReadFile(file)
}

// readSources reads what a guest is built from, for `go test` to see: it caches a
// result by the files that the test itself opened, not by those of the build.
func readSources(dirs ...string) error {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			_, err = os.ReadFile(name)
			return err
		})
		if err != nil {
			return fmt.Errorf("read guest sources: %w", err)
		}
	}
	return nil
}

// host is the runtime of all tests, as a process has one.
var host = sync.OnceValues(func() (*Host, error) { return New(context.Background(), Config{}) })

func testHost(t testing.TB) *Host {
	t.Helper()
	h, err := host()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// compiled keeps plugins compiled with default limits for the whole run: a Go
// module takes most of a second.
var compiled sync.Map

func goPlugin(t testing.TB, name string) *Plugin {
	t.Helper()
	if p, ok := compiled.Load(name); ok {
		return p.(*Plugin)
	}
	p, err := testHost(t).Compile(t.Context(), guest(t, name), Limits{Budget: 1 << 27})
	if err != nil {
		t.Fatal(err)
	}
	compiled.Store(name, p)
	return p
}
