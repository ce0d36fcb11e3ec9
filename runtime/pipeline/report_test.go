package pipeline

import (
	"maps"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

func TestReportedPositionsAreThoseOfTheReaderFurthestBehind(t *testing.T) {
	orders, prices := record.TopicPartition{Topic: "orders", Partition: 1}, record.TopicPartition{Topic: "prices"}
	got := furthestBehind([]lakehouse.Reader{
		{Name: "main", Ranges: []lakehouse.Range{{Topic: "orders", Partition: 1, From: 80, To: 90}, {Topic: "prices", To: 3}}},
		{Name: "later", Ranges: []lakehouse.Range{{Topic: "orders", Partition: 1, From: 10, To: 20}}},
	})
	if want := map[record.TopicPartition]int64{orders: 20, prices: 3}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAnEpochHearsTheNewestRecordOfATopic(t *testing.T) {
	e := &epoch{heard: map[string]int64{}}
	e.hear(&record.Slice{TopicPartition: record.TopicPartition{Topic: "orders"}, Records: []record.Record{{Timestamp: -5}}})
	if got := e.heard["orders"]; got != -5 {
		t.Errorf("the newest is %d, want -5", got)
	}
	e.hear(&record.Slice{TopicPartition: record.TopicPartition{Topic: "orders", Partition: 1}, Records: []record.Record{{Timestamp: 7}, {Timestamp: 9}, {Timestamp: 8}}})
	e.hear(&record.Slice{TopicPartition: record.TopicPartition{Topic: "prices"}})
	if want := map[string]int64{"orders": 9}; !maps.Equal(e.heard, want) {
		t.Errorf("got %v, want %v", e.heard, want)
	}
}

func TestDeadLettersBeyondTheReasonsToldApartAreCounted(t *testing.T) {
	r := &reader{name: "main"}
	e := &epoch{
		p:      &Pipeline{},
		slices: map[*reader]*taken{r: {fates: map[fateKey]record.Fate{{model: "orders"}: {Delivered: 9, Dead: 5, Letters: 5}, {model: "prices"}: {Delivered: 2, Dead: 2, Letters: 2}}}},
		deaths: map[string]*deaths{"orders": {reasons: map[deathReason]*deathCount{{"type", "a"}: {count: 1}, {"type", "b"}: {count: 2}}}},
		newest: map[string]int64{"orders": 17},
	}
	got := e.modelReport("orders")
	if want := map[string]int64{"type": 3, OtherReasons: 2}; !maps.Equal(got.Reasons, want) {
		t.Errorf("reasons are %v, want %v", got.Reasons, want)
	}
	if got.Fate.Delivered != 9 || got.Newest != 17 {
		t.Errorf("got %+v", got)
	}
}
