package pipeline

import (
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

func TestAModelThatTakesInTablesSeesTheLowestWatermarkOfThem(t *testing.T) {
	b := &behind{watermark: record.NoTime, taken: map[fateKey]int64{}, marks: map[string]int64{"frames": record.NoTime, "readings": record.NoTime}}
	for _, step := range []struct {
		model    string
		at, want int64
	}{{"readings", 100, record.NoTime}, {"frames", 50, 50}, {"frames", 200, 100}, {"readings", 90, 100}} {
		b.pass([]past{{step.model, lakehouse.HistoryEpoch{Epoch: b.epoch + 1, Watermark: &step.at}}})
		if b.watermark != step.want {
			t.Errorf("%s at %d: got watermark %d, want %d", step.model, step.at, b.watermark, step.want)
		}
	}
}
