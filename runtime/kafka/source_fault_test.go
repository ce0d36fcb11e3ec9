package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calvelake/calve/runtime/record"
)

func TestSourceRefusesPositionsItCannotRead(t *testing.T) {
	cluster := newCluster(t)
	c := open(t, cluster.ListenAddrs()...)
	produce(t, c, "orders", "0", "1", "2")
	admin := kadm.NewClient(rawClient(t, cluster))
	cut := kadm.Offsets{}
	cut.Add(kadm.Offset{Topic: "orders", At: 1})
	if _, err := admin.DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	good := starts(t, c, "orders")[0]
	change := func(f func(*record.Position)) record.Position {
		p := good
		f(&p)
		return p
	}
	tests := []struct {
		name     string
		position record.Position
		want     error
		parts    []string
	}{
		{"absent topic", change(func(p *record.Position) { p.Topic = "order" }), ErrNoTopic, []string{`"order"`, `there is "orders"`, "calve produce order"}},
		{"absent partition", change(func(p *record.Position) { p.Partition = 7 }), ErrNoTopic, []string{"orders/7", "1 partitions"}},
		{"other cluster", change(func(p *record.Position) { p.ClusterID = "two" }), ErrOrigin, []string{"cluster two", "cluster one"}},
		{"other topic", change(func(p *record.Position) { p.TopicID = "AAAAAAAAAAAAAAAAAAAAAQ" }), ErrOrigin, []string{"AAAAAAAAAAAAAAAAAAAAAQ", good.TopicID}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.Source(t.Context(), []record.Position{test.position})
			wantError(t, err, test.want, test.parts...)
		})
	}
	for offset, part := range map[int64]string{0: "1 records were deleted", 4: "beyond the end"} {
		_, err := c.Source(t.Context(), []record.Position{change(func(p *record.Position) { p.Offset = offset })})
		var out *ErrOffsetOutOfRange
		if !errors.As(err, &out) || out.Offset != offset || out.Start != 1 || out.End != 3 || !strings.Contains(err.Error(), part) {
			t.Errorf("offset %d: got error %v, want out of range of 1 to 3 with %q", offset, err, part)
		}
	}
	if _, err := c.Source(t.Context(), nil); err == nil {
		t.Error("no positions: got no error")
	}
	unknown := change(func(p *record.Position) { p.Origin = record.Origin{} })
	if got := read(t, c, newSource(t, c, unknown), []record.Position{unknown})[tp("orders", 0)]; join(got.values) != "1 2" {
		t.Errorf("position without ids: got values %v, want 1 2", got.values)
	}
}

func TestSourceStopsWhereRecordsAreGone(t *testing.T) {
	cluster := newCluster(t)
	c := open(t, cluster.ListenAddrs()...)
	produce(t, c, "t", "0", "1", "2")
	s := newSource(t, c, starts(t, c, "t")...)
	out := kerr.OffsetOutOfRange.Code
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return failedFetch(request.(*kmsg.FetchRequest), out), nil, true
	})
	_, err := s.Poll(t.Context(), 0)
	var gone *ErrOffsetOutOfRange
	if !errors.As(err, &gone) || gone.TopicPartition != tp("t", 0) || gone.Offset != 0 || gone.Start != 0 || gone.End != 3 {
		t.Errorf("got error %v, want t/0 at 0 out of range", err)
	}
	if _, again := s.Poll(t.Context(), 0); again != err {
		t.Errorf("second poll: got error %v, want the same", again)
	}
}

func failedFetch(request *kmsg.FetchRequest, code int16) kmsg.Response {
	response := request.ResponseKind().(*kmsg.FetchResponse)
	for _, asked := range request.Topics {
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = asked.Topic, asked.TopicID
		for _, p := range asked.Partitions {
			answer := kmsg.NewFetchResponseTopicPartition()
			answer.Partition, answer.ErrorCode = p.Partition, code
			topic.Partitions = append(topic.Partitions, answer)
		}
		response.Topics = append(response.Topics, topic)
	}
	return response
}

func TestSourceGoesOnAfterErrorsThatPass(t *testing.T) {
	cluster := newCluster(t)
	c := open(t, cluster.ListenAddrs()...)
	produce(t, c, "t", "a")
	codes := []int16{kerr.NotLeaderForPartition.Code, kerr.UnknownTopicOrPartition.Code, kerr.KafkaStorageError.Code}
	for _, code := range codes {
		cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
			return failedFetch(request.(*kmsg.FetchRequest), code), nil, true
		})
	}
	positions := starts(t, c, "t")
	if got := read(t, c, newSource(t, c, positions...), positions)[tp("t", 0)]; join(got.values) != "a" {
		t.Errorf("got values %v, want a", got.values)
	}
}

func TestSourceStopsWhenItsTopicGoes(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("created again %t", again), func(t *testing.T) {
			cluster := newCluster(t)
			c := open(t, cluster.ListenAddrs()...)
			produce(t, c, "t", "a")
			positions := starts(t, c, "t")
			s := newSource(t, c, positions...)
			read(t, c, s, positions)
			admin := kadm.NewClient(rawClient(t, cluster))
			if _, err := admin.DeleteTopics(t.Context(), "t"); err != nil {
				t.Fatal(err)
			}
			want := ErrNoTopic
			if again {
				produce(t, c, "t", "other", "records", "here")
				want = ErrOrigin
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			slices, err := s.Poll(ctx, 0)
			if len(slices) > 0 {
				t.Errorf("got a slice [%d, %d) of another topic", slices[0].From, slices[0].To)
			}
			wantError(t, err, want)
		})
	}
}

// The brokers lost what was read last; a record of another leader has its
// offset.
func TestSourceStopsWhenTheLogWasCut(t *testing.T) {
	cluster := newCluster(t)
	c := open(t, cluster.ListenAddrs()...)
	produce(t, c, "t", "0", "1", "2")
	position := starts(t, c, "t")[0]
	position.Offset, position.LeaderEpoch = 3, 0
	cluster.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		response := request.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		topic.Topic = "t"
		partition := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
		partition.EndOffset, partition.LeaderEpoch = 2, 0
		topic.Partitions = append(topic.Partitions, partition)
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
	_, err := newSource(t, c, position).Poll(t.Context(), 0)
	var loss *ErrDataLoss
	if !errors.As(err, &loss) || loss.TopicPartition != tp("t", 0) || loss.Offset != 3 || loss.End != 2 {
		t.Errorf("got error %v, want data loss of t/0 at 3 from 2 on", err)
	}
}

func TestSourceIsDeadAfterClose(t *testing.T) {
	c := open(t, newCluster(t).ListenAddrs()...)
	produce(t, c, "t", "a")
	s := newSource(t, c, starts(t, c, "t")...)
	s.Close()
	_, err := s.Poll(t.Context(), 0)
	wantError(t, err, ErrClosed)
	wantError(t, s.Add(t.Context(), nil), ErrClosed)
}
