package kafka

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/calvelake/calve/runtime/record"
)

func TestTopicsDescribes(t *testing.T) {
	cluster := newCluster(t, kfake.SeedTopics(3, "b"), kfake.SeedTopics(1, "a"))
	c := open(t, cluster.ListenAddrs()...)
	produce(t, c, "a", "0", "1")
	topics, err := c.Topics(t.Context(), "b", "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	if len(topics) != 2 || topics[0].Name != "b" || topics[1].Name != "a" {
		t.Fatalf("got %v, want b and a", topics)
	}
	if n := len(topics[0].Partitions); n != 3 {
		t.Errorf("partitions of b: got %d, want 3", n)
	}
	p := topics[1].Partitions[0]
	if p.ID != 0 || p.Start != 0 || p.End != 2 || p.LeaderEpoch < 0 {
		t.Errorf("partition of a: got %+v, want id 0 with offsets 0 to 2 and a leader epoch", p)
	}
	details, err := kadm.NewClient(rawClient(t, cluster)).ListTopics(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	id := details["a"].ID
	if got, want := topics[1].Origin, (record.Origin{ClusterID: "one", TopicID: base64.RawURLEncoding.EncodeToString(id[:])}); got != want {
		t.Errorf("origin of a: got %v, want %v", got, want)
	}
	all, err := c.Topics(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "a" {
		t.Errorf("all topics: got %v, error %v; want a and b", all, err)
	}
}

func TestTopicsOfAnEmptyCluster(t *testing.T) {
	c := open(t, newCluster(t).ListenAddrs()...)
	topics, err := c.Topics(t.Context())
	if err != nil || len(topics) != 0 {
		t.Errorf("got %v, error %v; want none", topics, err)
	}
	_, err = c.Topics(t.Context(), "orders")
	wantError(t, err, ErrNoTopic, `"orders"`)
	if strings.Contains(err.Error(), "there is") {
		t.Errorf("got error %q, want no other name in it", err)
	}
}

func TestNearestNames(t *testing.T) {
	all := []string{"orders", "order_lines", "Order", "payments", "ordres", "ordered", "o"}
	tests := []struct{ name, want string }{
		{"order", `"Order" "orders" "ordres"`},
		{"payment", `"payments"`},
		{"sessions", ""},
		{"order-lines", `"order_lines"`},
	}
	for _, test := range tests {
		if got := join(nearest(test.name, all)); got != test.want {
			t.Errorf("nearest to %s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestConfirmShowsAsGroupOffsets(t *testing.T) {
	cluster := newCluster(t)
	c := open(t, cluster.ListenAddrs()...)
	produce(t, c, "t", "0", "1", "2")
	position := starts(t, c, "t")[0]
	position.Offset = 2
	if err := c.Confirm(t.Context(), "calve.demo", []record.Position{position}); err != nil {
		t.Fatal(err)
	}
	if err := c.Confirm(t.Context(), "calve.demo", nil); err != nil {
		t.Errorf("no positions: got error %v", err)
	}
	offsets, err := kadm.NewClient(rawClient(t, cluster)).FetchOffsets(t.Context(), "calve.demo")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := offsets.Lookup("t", 0); !ok || got.At != 2 {
		t.Errorf("offset of the group: got %v, want 2", got)
	}
}

func TestEndOffsets(t *testing.T) {
	c := open(t, newCluster(t, kfake.SeedTopics(2, "t")).ListenAddrs()...)
	produce(t, c, "u", "0", "1", "2")
	ends, err := c.EndOffsets(t.Context(), "t", "u")
	if err != nil {
		t.Fatal(err)
	}
	if len(ends) != 3 || ends[tp("t", 0)] != 0 || ends[tp("u", 0)] != 3 {
		t.Errorf("got %v, want t/0:0 t/1:0 u/0:3", ends)
	}
	if ends, err := c.EndOffsets(t.Context()); err != nil || len(ends) != 0 {
		t.Errorf("no topics: got %v, error %v; want none", ends, err)
	}
}
