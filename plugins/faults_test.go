package plugins

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/calvelake/calve/lakehouse/storage"
)

var errLost = errors.New("connection reset")

// changes are what is done to a registry, on one that has what they need.
var changes = map[string]struct {
	puts  []string // parts of the locations that it puts, in order
	apply func(r *Registry, by string) (changed bool, err error)
}{
	"upload": {[]string{"/audit/", "/blobs/", "/versions/"}, func(r *Registry, by string) (bool, error) {
		u, err := r.Upload(context.Background(), Upload{Plugin: "orders", Version: "2.0.0", Module: []byte("new"), By: by})
		return u.Created, err
	}},
	"promote": {[]string{"/audit/", "/channels/"}, func(r *Registry, by string) (bool, error) {
		p, err := r.Promote(context.Background(), Promote{Plugin: "orders", Channel: "stable", Version: "1.0.0", By: by})
		return p.Changed, err
	}},
	"yank": {[]string{"/audit/", "/yanks/"}, func(r *Registry, by string) (bool, error) {
		y, err := r.Yank(context.Background(), YankRequest{Plugin: "orders", Version: "1.0.0", Reason: "r", By: by})
		return y.Changed, err
	}},
}

func prepared(t *testing.T) *storage.Memory {
	t.Helper()
	store := storage.NewMemory("mem://warehouse")
	upload(t, newTest(store.Another()), "1.0.0", "module", "ada")
	return store
}

// doneBy lists whose entries of the audit log happened, the preparation's left
// out.
func doneBy(t *testing.T, store *storage.Memory) (done []string) {
	t.Helper()
	entries, err := newTest(store.Another()).Audit(t.Context(), AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Done && e.By != "ada" {
			done = append(done, e.By)
		}
	}
	return done
}

func TestALostReplyIsNoFailure(t *testing.T) {
	for name, change := range changes {
		for _, put := range change.puts {
			for mode, at := range map[string]storage.FaultMode{"lost reply": storage.FaultAfter, "late": storage.FaultLate, "before": storage.FaultBefore} {
				t.Run(name+put+mode, func(t *testing.T) {
					store := prepared(t)
					store.Inject(storage.Fault{Mode: at, Match: storage.On(storage.OpPut, put), Err: errLost, Times: 2})
					store.Inject(storage.Fault{Mode: storage.FaultBefore, Match: storage.On(storage.OpGet, put), Err: errLost, Times: 1})
					changed, err := change.apply(newTest(store), "eve")
					if err == nil && !changed || err != nil && !retriable(err) {
						t.Fatalf("got %v, %v; want the change", changed, err)
					}
					if err != nil { // a read failed before anything was put
						if changed, err = change.apply(newTest(store), "eve"); err != nil || !changed {
							t.Fatalf("again: got %v, %v", changed, err)
						}
					}
					store.LandLate()
					if got := doneBy(t, store); !slices.Equal(got, []string{"eve"}) {
						t.Errorf("the audit log has %v done, want eve's change once", got)
					}
				})
			}
		}
	}
}

// retriable tells whether an error is the fault, of a read.
func retriable(err error) bool { return errors.Is(err, errLost) && !errors.Is(err, ErrUnknown) }

func TestAnUnknownOutcomeIsSaidToBeUnknown(t *testing.T) {
	for name, change := range changes {
		for i, put := range change.puts {
			t.Run(name+put, func(t *testing.T) {
				store := prepared(t)
				disarm := store.Inject(storage.Fault{Mode: storage.FaultLate, Match: storage.On(storage.OpPut, put), Err: errLost})
				if _, err := change.apply(newTest(store), "eve"); !errors.Is(err, ErrUnknown) {
					t.Fatalf("got %v, want that the outcome is unknown", err)
				}
				disarm()
				store.LandLate() // what was said to be unknown happens now
				changed, err := change.apply(newTest(store), "joe")
				if err != nil {
					t.Fatalf("doing the same again: %v", err)
				}
				last := i == len(change.puts)-1 // only the last put is the change
				if changed == last {
					t.Errorf("doing the same again: changed is %v, want %v", changed, !last)
				}
				want := []string{"joe"}
				if last {
					want = []string{"eve"}
				}
				if got := doneBy(t, store); !slices.Equal(got, want) {
					t.Errorf("the audit log has %v done, want %v", got, want)
				}
			})
		}
	}
}

func TestADefiniteRefusalIsAFailure(t *testing.T) {
	for name, change := range changes {
		for _, put := range change.puts {
			t.Run(name+put, func(t *testing.T) {
				store := prepared(t)
				store.Inject(storage.Fault{Mode: storage.FaultBefore, Match: storage.On(storage.OpPut, put), Err: storage.ErrPermission})
				_, err := change.apply(newTest(store), "eve")
				if !errors.Is(err, storage.ErrPermission) || errors.Is(err, ErrUnknown) {
					t.Errorf("got %v, want the store's refusal", err)
				}
				if got := doneBy(t, store); got != nil {
					t.Errorf("the audit log has %v done", got)
				}
			})
		}
	}
}

func TestACrashAtAnyPointLeavesARegistryThatGoesOn(t *testing.T) {
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			whole := prepared(t)
			if _, err := change.apply(newTest(whole), "eve"); err != nil {
				t.Fatal(err)
			}
			for at := range 2 * len(whole.Calls()) { // before and after each operation
				store := prepared(t)
				seen := 0
				store.Hook(func(storage.Event) {
					if seen++; seen == at+1 {
						store.Crash()
					}
				})
				_, _ = change.apply(newTest(store), "eve")
				next := store.Another()
				if _, err := change.apply(newTest(next), "joe"); err != nil {
					t.Errorf("crash at event %d: the successor: %v", at, err)
				}
				if got := doneBy(t, next); len(got) != 1 {
					t.Errorf("crash at event %d: the audit log has %v done, want the change once", at, got)
				}
			}
		})
	}
}

func TestDamageIsFound(t *testing.T) {
	store := storage.NewMemory("mem://warehouse")
	r := newTest(store)
	digest := Digest([]byte("module"))
	put := func(name, body string) {
		if err := store.Put(t.Context(), r.dir+"/"+name, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	put(blobName(digest), "something else")
	if _, err := r.Module(t.Context(), digest); !errors.Is(err, ErrCorrupt) {
		t.Errorf("read it: got %v", err)
	}
	if _, err := r.Upload(t.Context(), Upload{Plugin: "orders", Version: "1.0.0", Module: []byte("module"), By: "ada"}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("upload it: got %v", err)
	}
	put(versionName("orders", "3"), "{")
	put(versionName("orders", "4"), `{"format": 2}`)
	for _, version := range []string{"3", "4"} {
		if _, err := resolve(t, r, "orders@"+version); !errors.Is(err, ErrCorrupt) {
			t.Errorf("version %s: got %v", version, err)
		}
	}
}

func TestALostModuleComesBackWithTheSameUpload(t *testing.T) {
	store := prepared(t)
	r := newTest(store)
	digest := Digest([]byte("module"))
	if err := store.Delete(t.Context(), r.dir+"/"+blobName(digest)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Module(t.Context(), digest); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	upload(t, r, "1.0.0", "module", "eve")
	if module, err := r.Module(t.Context(), digest); err != nil || string(module) != "module" {
		t.Errorf("got %q, %v", module, err)
	}
}

func TestReferences(t *testing.T) {
	digest := Digest(nil)
	for text, want := range map[string]Ref{
		"orders@stable":           {Name: "orders", Channel: "stable"},
		"orders@1.2.0":            {Name: "orders", Version: "1.2.0"},
		"or-ders_2@1.2.0-rc.1":    {Name: "or-ders_2", Version: "1.2.0-rc.1"},
		"orders@sha256:" + digest: {Name: "orders", Digest: digest},
	} {
		got, err := ParseRef(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "orders", "orders@", "@stable", "Orders@stable", "../a@stable", "orders@../x", "orders@1/2", "orders@sha256:", "orders@sha256:ABC", "orders@a@b", "orders@v1.0"} {
		if got, err := ParseRef(text); !errors.Is(err, ErrName) {
			t.Errorf("%q: got %+v, %v; want it to be refused", text, got, err)
		}
	}
}
