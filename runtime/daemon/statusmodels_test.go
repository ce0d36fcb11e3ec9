package daemon

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
)

// shopStatus reads the status of a project of two staging models, sessions of
// the first, and a fact that joins the second to them.
func shopStatus(last *lakehouse.Epoch) *statusReader {
	p := &project.Project{
		Name: "shop",
		Sources: []project.Source{{Name: "shop", Tables: []project.SourceTable{
			{Name: "clicks", Topic: "clicks", Format: project.FormatJSON}, {Name: "orders", Topic: "orders", Format: project.FormatJSON},
		}}},
		Models: []project.Model{
			{Name: "clicks", Kind: project.KindStaging, From: project.Ref{Source: "shop", Table: "clicks"}},
			{Name: "orders", Kind: project.KindStaging, From: project.Ref{Source: "shop", Table: "orders"}},
			{Name: "visits", Kind: project.KindSession, From: project.Ref{Model: "clicks"}},
			{Name: "sales", Kind: project.KindFact, From: project.Ref{Model: "visits"}, Fact: &project.Fact{LeftJoin: []project.LeftJoin{{To: project.Ref{Model: "orders"}}}}},
		},
	}
	tail := lakehouse.Tail{}
	if last != nil {
		tail.Epochs = []*lakehouse.Epoch{last}
	}
	return &statusReader{project: p, now: at(1000), status: &Status{}, last: lastOf(tail), tables: map[string]lakehouse.Summary{}}
}

func watermarkAt(topic string, seconds int64) record.Watermark {
	return record.Watermark{At: micro(seconds), Partitions: []record.WatermarkPartition{{Topic: topic, Newest: micro(seconds + 10)}}}
}

func TestAKeyedModelIsAsFarAsTheRecordSays(t *testing.T) {
	behind := int64(4)
	reached := func(seconds int64) *lakehouse.Reached { return &lakehouse.Reached{At: micro(seconds)} }
	for _, c := range []struct {
		name          string
		visits, sales lakehouse.KeyedModel
		want          []string
	}{
		{"both are under way", lakehouse.KeyedModel{Watermark: reached(500)}, lakehouse.KeyedModel{Watermark: reached(450)}, []string{"500", "300", "500", "450"}},
		{"one is behind", lakehouse.KeyedModel{Watermark: reached(100), Behind: &behind}, lakehouse.KeyedModel{Watermark: reached(450)}, []string{"500", "300", "none", "450"}},
		{"before any event", lakehouse.KeyedModel{Watermark: &lakehouse.Reached{At: record.NoTime}}, lakehouse.KeyedModel{}, []string{"500", "300", "none", "none"}},
	} {
		c.visits.Name, c.sales.Name = "visits", "sales"
		r := shopStatus(&lakehouse.Epoch{
			Number: 9, Watermarks: map[string]record.Watermark{"clicks": watermarkAt("clicks", 500), "orders": watermarkAt("orders", 300)},
			Keyed: []lakehouse.KeyedModel{c.visits, c.sales},
		})
		r.models()
		var got []string
		for _, m := range r.status.Models {
			text := "none"
			if m.Watermark != nil {
				text = strconv.FormatInt(m.Watermark.Unix(), 10)
			}
			got = append(got, text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: watermarks are %v, want %v", c.name, got, c.want)
		}
		if got := r.status.Models[2].BackfilledTo; got != c.visits.Behind {
			t.Errorf("%s: taken in up to %v, want %v", c.name, got, c.visits.Behind)
		}
	}
}

func TestStatusNamesTablesThatLackTheLastEpoch(t *testing.T) {
	r := shopStatus(&lakehouse.Epoch{Number: 9, DecidedAt: micro(940), Changes: []lakehouse.TableChange{{Table: "a.x"}, {Table: "a.y"}, {Table: "a.gone"}}})
	r.tables["a.x"], r.tables["a.y"] = lakehouse.Summary{Epoch: 9}, lakehouse.Summary{Epoch: 8}
	r.epoch()
	e := r.status.Epoch
	if want := []string{"a.y", "a.gone"}; !slices.Equal(e.Uncommitted, want) || *e.AgeSeconds != 60 {
		t.Errorf("uncommitted are %v, want %v; %v s old", e.Uncommitted, want, *e.AgeSeconds)
	}
}

func TestLagCountsPartitionsThatNobodyHasReadYet(t *testing.T) {
	r := shopStatus(&lakehouse.Epoch{Number: 9, Readers: []lakehouse.Reader{{
		Name: "main", Models: []string{"clicks"}, Inputs: map[string]string{"clicks": "clicks"},
		Ranges: []lakehouse.Range{{Topic: "clicks", TopicID: "one", To: 70}, {Topic: "orders", To: 5}},
	}}})
	r.models()
	topics := []kafka.Topic{
		{Name: "clicks", Origin: record.Origin{TopicID: "one"}, Partitions: []kafka.Partition{{ID: 0, End: 100}, {ID: 1, Start: 20, End: 25}}},
		{Name: "orders", Origin: record.Origin{TopicID: "two"}, Partitions: []kafka.Partition{{ID: 0, Start: 3, End: 4}}},
	}
	r.askBroker(t.Context(), StatusConfig{Topics: func(context.Context, ...string) ([]kafka.Topic, error) { return topics, nil }})
	for i, want := range []int64{35, 1} {
		if got := r.status.Models[i].Lag; got == nil || *got != want {
			t.Errorf("the lag of %s is %v, want %d", r.status.Models[i].Model, got, want)
		}
	}
	if got := len(r.status.Models[0].Partitions); got != 2 {
		t.Errorf("clicks has %d partitions, want 2", got)
	}
	topics[0].TopicID = "another"
	r.status.Models = nil
	r.models()
	r.askBroker(t.Context(), StatusConfig{Topics: func(context.Context, ...string) ([]kafka.Topic, error) { return topics, nil }})
	if m := r.status.Models[0]; m.Lag != nil || m.Partitions[0].Lag != nil || !strings.Contains(r.status.Broker.Problem, "made again") {
		t.Errorf("a topic that was made again has lag %v; %s", m.Lag, r.status.Broker.Problem)
	}
}

func TestStatusSumsUpLettersOfOneReason(t *testing.T) {
	r := shopStatus(nil)
	r.letters(&lakehouse.LetterList{Groups: []lakehouse.LetterGroup{
		{Model: "clicks", Reason: "type", Column: "a", Open: 2}, {Model: "clicks", Reason: "type", Column: "b", Open: 3},
		{Model: "clicks", Reason: "test", Replayed: 4}, {Model: "orders", Reason: "type", Open: 1},
	}})
	if want := []LetterStatus{{"clicks", "type", 5}, {"orders", "type", 1}}; !slices.Equal(r.status.DeadLetters, want) {
		t.Errorf("got %+v, want %+v", r.status.DeadLetters, want)
	}
}
