package lakehouse

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calvelake/calve/lakehouse/storage"
)

func TestStandbyTakesOverWhenTheLogFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storage.NewMemory("s3://lake")
		writer := testLog(store, "w1")
		const beats = 4
		go func() {
			for n := int64(1); n <= beats; n++ {
				if err := writer.Append(t.Context(), numbered(n, "w1")); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
			}
		}()
		began := time.Now()
		if err := testLog(store.Another(), "w2").Wait(t.Context(), Standby{Silence: 3 * time.Minute, Every: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 6*time.Minute || waited > 7*time.Minute {
			t.Errorf("took over after %s, want three minutes after the last record at three", waited)
		}
	})
}

func TestStandbyDoesNotTakeOverForAStoreItCannotReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storage.NewMemory("s3://lake")
		if err := testLog(store, "w1").Append(t.Context(), numbered(1, "w1")); err != nil {
			t.Fatal(err)
		}
		standby := store.Another()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		time.AfterFunc(time.Minute, func() {
			standby.Inject(storage.Fault{Match: func(c storage.Call) bool { return c.Op == storage.OpList }, Mode: storage.FaultBefore, Err: errors.New("no route")})
		})
		err := testLog(standby, "w2").Wait(ctx, Standby{Silence: 3 * time.Minute, Every: 10 * time.Second})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want it to wait on", err)
		}
	})
}
