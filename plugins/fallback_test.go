package plugins

import (
	"errors"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse/storage"
)

func fallBack(t *testing.T, r *Registry, p Promotion, pipeline, reason string) {
	t.Helper()
	err := r.FallBack(t.Context(), Fallback{
		Plugin: p.Plugin, Channel: p.Channel, Number: p.Number, Version: p.Version, Digest: p.Digest,
		Pipeline: pipeline, Epoch: 7, Former: Digest([]byte("one")), Reason: reason,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAFallbackIsOfOnePipelineAndOnePromotion(t *testing.T) {
	r := newTest(storage.NewMemory("mem://warehouse"))
	upload(t, r, "1.0.0", "one", "ada")
	upload(t, r, "1.1.0", "two", "ada")
	promote(t, r, "1.0.0", "ada")
	second := promote(t, r, "1.1.0", "ada").Promotion
	fallBack(t, r, second, "shop", "a test fails"+strings.Repeat("€", maxReason))
	fallBack(t, r, second, "shop", "another reason") // it is told already

	got, err := r.Fallback(t.Context(), second, "shop")
	if err != nil || got == nil || got.Epoch != 7 || got.Version != "1.1.0" || !strings.HasPrefix(got.Reason, "a test fails") || len(got.Reason) > maxReason+10 {
		t.Errorf("got %+v (%v), want the first fallback", got, err)
	}
	if other, err := r.Fallback(t.Context(), second, "factory"); err != nil || other != nil {
		t.Errorf("got %+v (%v) of another pipeline", other, err)
	}
	log, err := r.Audit(t.Context(), AuditQuery{Plugin: "orders"})
	if err != nil || len(log) != 5 {
		t.Fatalf("the log has %d entries (%v), want 2 uploads, 2 promotions and a fallback", len(log), err)
	}
	if e := log[0]; e.Action != ActionFallback || e.By != "pipeline shop" || e.Channel != "stable" || e.Number != 2 || !e.Done {
		t.Errorf("the log says %+v, want the fallback", e)
	}
	// What the channel is at can be promoted anew, once.
	again := promote(t, r, "1.1.0", "joe")
	if !again.Changed || again.Number != 3 {
		t.Errorf("promoted anew: %+v, want promotion 3", again)
	}
	if twice := promote(t, r, "1.1.0", "joe"); twice.Changed {
		t.Errorf("promoted once more: %+v, want no change", twice)
	}
	if f, err := r.Fallback(t.Context(), again.Promotion, "shop"); err != nil || f != nil {
		t.Errorf("the new promotion is refused already: %+v (%v)", f, err)
	}
}

func TestAFallbackThatIsNotWrittenDidNotHappen(t *testing.T) {
	store := storage.NewMemory("mem://warehouse")
	r := newTest(store)
	upload(t, r, "1.0.0", "one", "ada")
	head := promote(t, r, "1.0.0", "ada").Promotion
	store.Inject(storage.Fault{Mode: storage.FaultBefore, Err: storage.ErrPermission, Times: 1, Match: func(c storage.Call) bool {
		return c.Op == storage.OpPut && strings.Contains(c.Location, "/fallbacks/")
	}})
	f := Fallback{Plugin: "orders", Channel: "stable", Number: head.Number, Version: head.Version, Digest: head.Digest, Pipeline: "shop", Reason: "it stops"}
	if err := r.FallBack(t.Context(), f); !errors.Is(err, storage.ErrPermission) {
		t.Fatalf("got %v, want that it is not permitted", err)
	}
	log, err := r.Audit(t.Context(), AuditQuery{Limit: 1})
	if err != nil || log[0].Action != ActionFallback || log[0].Done {
		t.Errorf("the log says %+v (%v), want a fallback that did not happen", log, err)
	}
	f.Digest = "no digest"
	if err := r.FallBack(t.Context(), f); !errors.Is(err, ErrName) {
		t.Errorf("got %v, want a malformed digest to be refused", err)
	}
}
