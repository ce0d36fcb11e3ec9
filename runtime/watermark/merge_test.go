package watermark

import (
	"testing"

	"github.com/calvelake/calve/runtime/record"
)

func TestASilentInputHoldsNothingBack(t *testing.T) {
	active := func(at int64) Input { return Input{At: at} }
	idle := func(at int64) Input { return Input{At: at, Idle: true} }
	for _, c := range []struct {
		name   string
		inputs []Input
		want   int64
	}{
		{"none", nil, record.NoTime},
		{"the slowest of those that are active", []Input{active(30), active(10), active(20)}, 10},
		{"one is silent", []Input{idle(10), active(30), active(20)}, 20},
		{"all but one are", []Input{idle(40), active(30), idle(10)}, 30},
		{"all are", []Input{idle(10), idle(30), idle(20)}, 30},
		{"an active one has come nowhere", []Input{active(30), active(record.NoTime)}, record.NoTime},
		{"a silent one has come nowhere", []Input{active(30), idle(record.NoTime)}, 30},
		{"none that is silent has come anywhere", []Input{idle(record.NoTime), idle(record.NoTime)}, record.NoTime},
		{"before 1970", []Input{active(-30), active(-10)}, -30},
	} {
		if got := Merge(c.inputs); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestAModelIsSilentWhenAllItsPartitionsAre(t *testing.T) {
	idle, active := record.WatermarkPartition{Idle: true}, record.WatermarkPartition{}
	for _, c := range []struct {
		name       string
		partitions []record.WatermarkPartition
		want       bool
	}{
		{"none is known", nil, false},
		{"all are", []record.WatermarkPartition{idle, idle}, true},
		{"one is not", []record.WatermarkPartition{idle, active}, false},
	} {
		if got := Silent(record.Watermark{Partitions: c.partitions}); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
