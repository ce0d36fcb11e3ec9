package plugins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/lakehouse/storage/storagetest"
	"github.com/calvelake/calve/sdk/abi"
)

// accept is a verification that every module passes but those called bad.
func accept(_ context.Context, module []byte, _ Expect) (Verified, error) {
	result := Passed
	if strings.HasPrefix(string(module), "bad") {
		result = Failed
	}
	return Verified{
		Describe: abi.Describe{ABI: 1, Name: "orders", Version: "9.9.9", Kind: "transform", Input: abi.Input{Any: true}, Outputs: []abi.Stream{{Derived: true}}},
		Report:   Report{Checks: []Check{{CheckStructure, result, "the detail"}}},
	}, nil
}

// clock gives each call a later second.
func clock() func() time.Time {
	var mu sync.Mutex
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(time.Second)
		return at
	}
}

func newTest(store storage.Store) *Registry {
	r := NewRegistry(store, Config{Verify: accept, Now: clock()})
	r.pause = func(ctx context.Context, _ int) error { return ctx.Err() }
	return r
}

func upload(t *testing.T, r *Registry, version, module, by string) Uploaded {
	t.Helper()
	u, err := r.Upload(t.Context(), Upload{Plugin: "orders", Version: version, Module: []byte(module), By: by})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func promote(t *testing.T, r *Registry, version, by string) Promoted {
	t.Helper()
	p, err := r.Promote(t.Context(), Promote{Plugin: "orders", Channel: "stable", Version: version, By: by})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func resolve(t *testing.T, r *Registry, ref string) (Version, error) {
	t.Helper()
	parsed, err := ParseRef(ref)
	if err != nil {
		t.Fatal(err)
	}
	return r.Resolve(t.Context(), parsed)
}

// stores are those that a warehouse may be in.
var stores = map[string]func(t *testing.T) storage.Store{
	"memory": func(*testing.T) storage.Store { return storage.NewMemory("mem://warehouse") },
	"local": func(t *testing.T) storage.Store {
		s, err := storage.OpenLocal(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
	"s3": func(t *testing.T) storage.Store {
		s, err := storage.OpenS3(t.Context(), storage.S3Config{
			Location: "s3://lake/some/prefix", Endpoint: storagetest.NewS3Server(t, "lake").URL, Region: "us-east-1",
			AccessKeyID: "someone", SecretAccessKey: "something",
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
}

func onEveryStore(t *testing.T, test func(t *testing.T, store storage.Store)) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func TestVersionsStayChannelsMove(t *testing.T) {
	onEveryStore(t, func(t *testing.T, store storage.Store) {
		r := newTest(store)
		one := upload(t, r, "1.0.0", "module one", "ada")
		if !one.Created || one.Digest != Digest([]byte("module one")) || one.UploadedBy != "ada" || one.Size != 10 {
			t.Errorf("got %+v", one)
		}
		if again := upload(t, r, "1.0.0", "module one", "eve"); again.Created || again.UploadedBy != "ada" {
			t.Errorf("the same upload again: got %+v, want the first", again)
		}
		_, err := r.Upload(t.Context(), Upload{Plugin: "orders", Version: "1.0.0", Module: []byte("another"), By: "eve"})
		if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "uploaded by ada") {
			t.Errorf("another module as the same version: got %v, want a conflict that names ada", err)
		}
		if own := upload(t, r, "", "module own", "ada"); own.Version.Version != "9.9.9" {
			t.Errorf("got version %s, want the module's own", own.Version.Version)
		}
		upload(t, r, "1.1.0", "module two", "ada")
		if p := promote(t, r, "1.0.0", "joe"); !p.Changed || p.Number != 1 {
			t.Errorf("got %+v", p)
		}
		if p := promote(t, r, "1.1.0", "joe"); !p.Changed || p.Number != 2 {
			t.Errorf("got %+v", p)
		}
		if p := promote(t, r, "1.1.0", "eve"); p.Changed || p.By != "joe" {
			t.Errorf("a channel that is there already: got %+v", p)
		}
		for ref, want := range map[string]string{
			"orders@stable": "1.1.0", "orders@1.0.0": "1.0.0", "orders@sha256:" + one.Digest: "1.0.0",
		} {
			v, err := resolve(t, r, ref)
			if err != nil || v.Version != want || v.Describe.Kind != "transform" || !v.Report.OK() {
				t.Errorf("%s: got %+v, %v; want %s", ref, v, err, want)
			}
		}
		if module, err := r.Module(t.Context(), one.Digest); err != nil || string(module) != "module one" {
			t.Errorf("got %q, %v", module, err)
		}
		for _, ref := range []string{"orders@edge", "orders@2.0.0", "clicks@stable", "orders@sha256:" + Digest(nil)} {
			if _, err := resolve(t, r, ref); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: got %v, want that it is not there", ref, err)
			}
		}
	})
}

func TestListShowsEveryPlugin(t *testing.T) {
	onEveryStore(t, func(t *testing.T, store storage.Store) {
		r := newTest(store)
		if all, err := r.List(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("an empty registry: got %v, %v", all, err)
		}
		// Names that are each other's beginning, in the order of bytes - before /.
		for _, name := range []string{"orders", "orders-eu", "orders_us"} {
			for i := range 3 {
				u := Upload{Plugin: name, Version: fmt.Sprintf("1.%d", i), Module: []byte(name), By: "ada"}
				if _, err := r.Upload(t.Context(), u); err != nil {
					t.Fatal(err)
				}
				for _, channel := range []string{"stable", "stable-2"} {
					if _, err := r.Promote(t.Context(), Promote{Plugin: name, Channel: channel, Version: u.Version, By: "ada"}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		all, err := r.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range all {
			got = append(got, p.Name)
			for _, c := range p.Channels {
				if c.Number != 3 || c.Version != "1.2" {
					t.Errorf("channel %s of %s: got %+v", c.Channel, p.Name, c)
				}
			}
			if len(p.Versions) != 3 || len(p.Channels) != 2 {
				t.Errorf("%s: got %d versions, %d channels", p.Name, len(p.Versions), len(p.Channels))
			}
		}
		slices.Sort(got)
		if want := []string{"orders", "orders-eu", "orders_us"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if _, err := r.Show(t.Context(), "clicks"); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAYankedVersionIsNotResolved(t *testing.T) {
	onEveryStore(t, func(t *testing.T, store storage.Store) {
		r := newTest(store)
		upload(t, r, "1.0.0", "module", "ada")
		promote(t, r, "1.0.0", "joe")
		y, err := r.Yank(t.Context(), YankRequest{Plugin: "orders", Version: "1.0.0", Reason: "loses rows", By: "joe"})
		if err != nil || !y.Changed || !slices.Equal(y.Channels, []string{"stable"}) {
			t.Errorf("got %+v, %v; want the channel that is at it to be named", y, err)
		}
		if again, err := r.Yank(t.Context(), YankRequest{Plugin: "orders", Version: "1.0.0", Reason: "other", By: "eve"}); err != nil || again.Changed || again.Reason != "loses rows" {
			t.Errorf("again: got %+v, %v", again, err)
		}
		for _, ref := range []string{"orders@stable", "orders@1.0.0", "orders@sha256:" + Digest([]byte("module"))} {
			if _, err := resolve(t, r, ref); !errors.Is(err, ErrYanked) || !strings.Contains(err.Error(), "by joe") || !strings.Contains(err.Error(), "loses rows") {
				t.Errorf("%s: got %v, want who yanked it and why", ref, err)
			}
		}
		if _, err := r.Promote(t.Context(), Promote{Plugin: "orders", Channel: "edge", Version: "1.0.0", By: "joe"}); !errors.Is(err, ErrYanked) {
			t.Errorf("promote it: got %v", err)
		}
		// The same module under a version that is not yanked.
		upload(t, r, "1.0.1", "module", "ada")
		if v, err := resolve(t, r, "orders@sha256:"+Digest([]byte("module"))); err != nil || v.Version != "1.0.1" {
			t.Errorf("got %+v, %v", v, err)
		}
		if _, err := r.Yank(t.Context(), YankRequest{Plugin: "orders", Version: "1.0.1", By: "joe"}); !errors.Is(err, ErrName) {
			t.Errorf("without a reason: got %v", err)
		}
	})
}

func TestARefusedModuleLeavesNothing(t *testing.T) {
	store := storage.NewMemory("mem://warehouse")
	_, err := newTest(store).Upload(t.Context(), Upload{Plugin: "orders", Version: "1.0.0", Module: []byte("bad"), By: "ada"})
	var refusal *Refusal
	if !errors.Is(err, ErrRefused) || !errors.As(err, &refusal) || !strings.Contains(err.Error(), "structure: the detail") {
		t.Errorf("got %v, want the check that failed", err)
	}
	for _, c := range store.Calls() {
		if c.Op == storage.OpPut {
			t.Errorf("it put %s", c.Location)
		}
	}
}

func TestTheAuditLogTellsWhoDidWhat(t *testing.T) {
	onEveryStore(t, func(t *testing.T, store storage.Store) {
		r := newTest(store)
		upload(t, r, "1.0.0", "one", "ada")
		promote(t, r, "1.0.0", "joe")
		upload(t, r, "1.1.0", "two", "ada")
		promote(t, r, "1.1.0", "joe")
		if _, err := r.Yank(t.Context(), YankRequest{Plugin: "orders", Version: "1.0.0", Reason: "old", By: "eve"}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Upload(t.Context(), Upload{Plugin: "clicks", Version: "1.0.0", Module: []byte("x"), By: "ada"}); err != nil {
			t.Fatal(err)
		}
		log := func(q AuditQuery) (got []string) {
			entries, err := r.Audit(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				got = append(got, fmt.Sprintf("%s %s %s@%s %s<%s %v", e.By, e.Action, e.Plugin, e.Version, e.Channel, e.Before, e.Done))
			}
			return got
		}
		want := []string{
			"ada upload clicks@1.0.0 < true", "eve yank orders@1.0.0 < true", "joe promote orders@1.1.0 stable<1.0.0 true",
			"ada upload orders@1.1.0 < true", "joe promote orders@1.0.0 stable< true", "ada upload orders@1.0.0 < true",
		}
		if got := log(AuditQuery{}); !slices.Equal(got, want) {
			t.Errorf("got\n%s", strings.Join(got, "\n"))
		}
		if got := log(AuditQuery{Limit: 2}); !slices.Equal(got, want[:2]) {
			t.Errorf("newest two: got %v", got)
		}
		if got := log(AuditQuery{Plugin: "orders", Limit: 1}); !slices.Equal(got, want[1:2]) {
			t.Errorf("of a plugin: got %v", got)
		}
		entries, err := r.Audit(t.Context(), AuditQuery{})
		if err != nil {
			t.Fatal(err)
		}
		if got := log(AuditQuery{Since: entries[1].At}); !slices.Equal(got, want[:2]) {
			t.Errorf("since the second newest: got %v", got)
		}
	})
}

func TestOneOfManyUploadersWins(t *testing.T) {
	onEveryStore(t, func(t *testing.T, store storage.Store) {
		const racers = 6
		errs, won := make([]error, racers), make([]Uploaded, racers)
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() {
				u := Upload{Plugin: "orders", Version: "1.0.0", Module: fmt.Appendf(nil, "module %d", i), By: fmt.Sprintf("racer-%d", i)}
				won[i], errs[i] = newTest(store).Upload(t.Context(), u)
			})
		}
		wg.Wait()
		winner := -1
		for i := range racers {
			if errs[i] == nil {
				if winner >= 0 || !won[i].Created {
					t.Fatalf("racers %d and %d both won", winner, i)
				}
				winner = i
			}
		}
		if winner < 0 {
			t.Fatalf("nobody won: %v", errs)
		}
		for i, err := range errs {
			if i != winner && (!errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), fmt.Sprintf("uploaded by racer-%d", winner))) {
				t.Errorf("racer %d: got %v, want to be told that racer %d won", i, err, winner)
			}
		}
		v, err := resolve(t, newTest(store), "orders@1.0.0")
		if err != nil || v.Digest != won[winner].Digest {
			t.Errorf("got %+v, %v; want the winner's module", v, err)
		}
		entries, err := newTest(store).Audit(t.Context(), AuditQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Done != (e.By == v.UploadedBy) {
				t.Errorf("audit: got %+v, want only the winner's to be done", e)
			}
		}
	})
}

func TestTheLoserOfTwoPromotersIsToldWhoWon(t *testing.T) {
	store := storage.NewMemory("mem://warehouse")
	setup := newTest(store.Another())
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		upload(t, setup, version, version, "ada")
	}
	promote(t, setup, "1.0.0", "ada")
	// Joe promotes when Eve has read where the channel is, and decided.
	var once sync.Once
	store.Hook(func(e storage.Event) {
		if !e.After && e.Op == storage.OpPut && strings.Contains(e.Location, "/channels/") {
			once.Do(func() { promote(t, newTest(store.Another()), "1.1.0", "joe") })
		}
	})
	_, err := newTest(store).Promote(t.Context(), Promote{Plugin: "orders", Channel: "stable", Version: "1.2.0", By: "eve"})
	if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "joe promoted orders@stable to 1.1.0") {
		t.Errorf("got %v, want a conflict that names joe and 1.1.0", err)
	}
	if v, err := resolve(t, setup, "orders@stable"); err != nil || v.Version != "1.1.0" {
		t.Errorf("got %s, %v; want the winner's version", v.Version, err)
	}
	if p := promote(t, setup, "1.2.0", "eve"); p.Number != 3 || !p.Changed {
		t.Errorf("again, knowing it: got %+v", p)
	}
}

func TestPromotersNeverShareANumber(t *testing.T) {
	onEveryStore(t, func(t *testing.T, store storage.Store) {
		const racers = 6
		setup := newTest(store)
		for i := range racers {
			upload(t, setup, fmt.Sprintf("1.%d", i), fmt.Sprint(i), "ada")
		}
		numbers, errs := make([]int64, racers), make([]error, racers)
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() {
				p, err := newTest(store).Promote(t.Context(), Promote{Plugin: "orders", Channel: "stable", Version: fmt.Sprintf("1.%d", i), By: "x"})
				numbers[i], errs[i] = p.Number, err
			})
		}
		wg.Wait()
		var won []int64
		for i, err := range errs {
			if err != nil && !errors.Is(err, ErrConflict) {
				t.Errorf("racer %d: %v", i, err)
			}
			if err == nil {
				won = append(won, numbers[i])
			}
		}
		slices.Sort(won)
		for i, n := range won {
			if n != int64(i+1) {
				t.Errorf("got numbers %v, want each once", won)
				break
			}
		}
		if len(won) == 0 {
			t.Error("nobody won")
		}
	})
}
