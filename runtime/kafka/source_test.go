package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calvelake/calve/runtime/record"
)

func TestSourceReadsTopicsAndPartitions(t *testing.T) {
	cluster := newCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(3, "a"), kfake.SeedTopics(2, "b"))
	c := open(t, cluster.ListenAddrs()...)
	k := rawClient(t, cluster, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	want := map[record.TopicPartition][]string{}
	for i := range 1000 {
		at := tp([]string{"a", "b"}[i%2], int32(i/2%(3-i%2)))
		v := fmt.Sprintf("%s %d", at, i)
		want[at] = append(want[at], v)
		k.Produce(t.Context(), &kgo.Record{Topic: at.Topic, Partition: at.Partition, Value: []byte(v)}, nil)
	}
	if err := k.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	positions := starts(t, c, "a", "b")
	got := read(t, c, newSource(t, c, positions...), positions)
	if len(got) != len(want) {
		t.Errorf("partitions: got %d, want %d", len(got), len(want))
	}
	for at, values := range want {
		if join(got[at].values) != join(values) {
			t.Errorf("%s: got %d values, want %d, or another order", at, len(got[at].values), len(values))
		}
	}
}

func TestSourceResumesAtAPosition(t *testing.T) {
	c := open(t, newCluster(t).ListenAddrs()...)
	produce(t, c, "t", "0", "1", "2", "3", "4")
	positions := starts(t, c, "t")
	first := read(t, c, newSource(t, c, positions...), positions)[tp("t", 0)]
	if first.epoch < 0 {
		t.Errorf("leader epoch of what was read: got %d, want one", first.epoch)
	}
	positions[0].Offset, positions[0].LeaderEpoch = 3, first.epoch
	got := read(t, c, newSource(t, c, positions...), positions)[tp("t", 0)]
	if join(got.values) != "3 4" || join(got.offsets) != "3 4" {
		t.Errorf("got values %v at offsets %v, want those of 3 and 4", got.values, got.offsets)
	}
	// At the end there is nothing, until there is.
	positions[0].Offset = 5
	s := newSource(t, c, positions...)
	produce(t, c, "t", "5")
	if got := read(t, c, s, positions)[tp("t", 0)]; join(got.values) != "5" {
		t.Errorf("got values %v, want that of 5", got.values)
	}
}

func TestSourceKeepsRecordsAsTheyAre(t *testing.T) {
	cluster := newCluster(t)
	c := open(t, cluster.ListenAddrs()...)
	produce(t, c, "t")
	for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		k := rawClient(t, cluster, kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic("t"))
		for _, r := range []*kgo.Record{
			{Key: []byte("k"), Value: nil},
			{Key: nil, Value: []byte{}},
			{Key: []byte{}, Value: bytes.Repeat([]byte("v"), 10_000), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h"}}},
		} {
			if err := k.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := newSource(t, c, starts(t, c, "t")...)
	var got []string
	for len(got) < 12 {
		slices, err := s.Poll(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, slice := range slices {
			for _, r := range slice.Records {
				got = append(got, fmt.Sprintf("%t %t %d %v %t", r.Key == nil, r.Value == nil, len(r.Value), r.Headers, r.Timestamp > 0))
			}
		}
	}
	want := []string{"false true 0 [] true", "true false 0 [] true", "false false 10000 [{h [49]} {h []}] true"}
	for i := range got {
		if got[i] != want[i%3] {
			t.Errorf("record %d: got %s, want %s", i, got[i], want[i%3])
		}
	}
}

func TestSourceDeliversCommittedRecordsOnly(t *testing.T) {
	cluster := newCluster(t, kfake.SeedTopics(1, "t"))
	c := open(t, cluster.ListenAddrs()...)
	k := rawClient(t, cluster, kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"))
	transact := func(end kgo.TransactionEndTry, values ...string) {
		t.Helper()
		if err := k.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if err := k.ProduceSync(t.Context(), kgo.StringRecord(v)).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := k.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	transact(kgo.TryCommit, "a", "b") // offsets 0, 1 and the marker 2
	transact(kgo.TryAbort, "x", "y")  // 3, 4, 5
	transact(kgo.TryCommit, "c")      // 6, 7
	transact(kgo.TryAbort, "z")       // 8, 9
	positions := starts(t, c, "t")
	got := read(t, c, newSource(t, c, positions...), positions)[tp("t", 0)]
	if join(got.values) != "a b c" || join(got.offsets) != "0 1 6" {
		t.Errorf("got values %v at offsets %v, want a b c at 0 1 6", got.values, got.offsets)
	}
	if got.to != 10 {
		t.Errorf("end of what was read: got %d, want 10, behind the last marker", got.to)
	}
	// Where only a marker is left, the slice has no records.
	positions[0].Offset = 7
	got = read(t, c, newSource(t, c, positions...), positions)[tp("t", 0)]
	if len(got.values) != 0 || got.to != 10 || got.empty == 0 {
		t.Errorf("got values %v up to %d in %d empty slices, want none up to 10 in at least one", got.values, got.to, got.empty)
	}
}

func TestSourceStopsBeforeAnOpenTransaction(t *testing.T) {
	cluster := newCluster(t, kfake.SeedTopics(1, "t"))
	c := open(t, cluster.ListenAddrs()...)
	produce(t, c, "t", "a")
	k := rawClient(t, cluster, kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"))
	if err := k.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := k.ProduceSync(t.Context(), kgo.StringRecord("open")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	positions := starts(t, c, "t")
	got := read(t, c, newSource(t, c, positions...), positions)[tp("t", 0)]
	if join(got.values) != "a" || got.to != 1 {
		t.Errorf("got values %v up to %d, want a up to 1", got.values, got.to)
	}
}

// Compaction leaves a batch's range of offsets as it was: a batch of five whose
// first record alone is left still ends at 5, and nothing but its header says
// so.
func TestSourcePassesWhatCompactionRemovedAtTheEnd(t *testing.T) {
	cluster := newCluster(t, kfake.SeedTopics(1, "t"))
	c := open(t, cluster.ListenAddrs()...)
	produce(t, c, "t", "0", "1", "2", "3", "4")
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return compactedFetch(request.(*kmsg.FetchRequest)), nil, true
	})
	positions := starts(t, c, "t")
	got := read(t, c, newSource(t, c, positions...), positions)[tp("t", 0)]
	if join(got.values) != "left" || got.to != 5 || got.empty != 1 {
		t.Errorf("got values %v up to %d in %d empty slices, want one value up to 5, and one empty slice", got.values, got.to, got.empty)
	}
}

// compactedFetch answers a fetch below offset 5 with a batch of offsets 0 to 4
// of which only the record of offset 0 is left.
func compactedFetch(request *kmsg.FetchRequest) kmsg.Response {
	response := request.ResponseKind().(*kmsg.FetchResponse)
	for _, asked := range request.Topics {
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = asked.Topic, asked.TopicID
		for _, p := range asked.Partitions {
			answer := kmsg.NewFetchResponseTopicPartition()
			answer.Partition, answer.HighWatermark, answer.LastStableOffset, answer.LogStartOffset = p.Partition, 5, 5, 0
			if p.FetchOffset < 5 {
				answer.RecordBatches = compactedBatch()
			}
			topic.Partitions = append(topic.Partitions, answer)
		}
		response.Topics = append(response.Topics, topic)
	}
	return response
}

func compactedBatch() []byte {
	left := kmsg.Record{Value: []byte("left")}
	left.Length = int32(len(left.AppendTo(nil)) - 1) // its varint of one byte
	batch := kmsg.RecordBatch{Magic: 2, LastOffsetDelta: 4, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: left.AppendTo(nil)}
	batch.Length = int32(len(batch.AppendTo(nil)) - 12)
	raw := batch.AppendTo(nil)
	batch.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return batch.AppendTo(nil)
}

func TestSourceBoundsAPoll(t *testing.T) {
	c := open(t, newCluster(t).ListenAddrs()...)
	produce(t, c, "t", strings.Fields(strings.Repeat("v ", 100))...)
	s := newSource(t, c, starts(t, c, "t")...)
	for total := 0; total < 100; {
		slices, err := s.Poll(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, slice := range slices {
			n += len(slice.Records)
		}
		if n == 0 || n > 7 {
			t.Fatalf("records of a poll: got %d, want 1 to 7", n)
		}
		total += n
	}
}

func TestSourceReturnsWhenTheContextEnds(t *testing.T) {
	c := open(t, newCluster(t).ListenAddrs()...)
	produce(t, c, "t", "a")
	positions := starts(t, c, "t")
	s := newSource(t, c, positions...)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	slices, err := s.Poll(ended, 0)
	if len(slices) != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %d slices, error %v; want none, context canceled", len(slices), err)
	}
	if got := read(t, c, s, positions)[tp("t", 0)]; join(got.values) != "a" {
		t.Errorf("got values %v after a poll that was canceled, want a", got.values)
	}
}

func TestSourceDeliversRecordsOfAnySize(t *testing.T) {
	cluster := newCluster(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "50000000"}))
	c, err := Open(t.Context(), Config{Brokers: cluster.ListenAddrs(), MaxRecordBytes: 40_000_000}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	// More than a fetch brings of a partition (1 MiB) and of all (16 MiB).
	large := strings.Repeat("0123456789", 2_000_000)
	produce(t, c, "t", "before", large, "after")
	positions := starts(t, c, "t")
	got := read(t, c, newSource(t, c, positions...), positions)[tp("t", 0)]
	if len(got.values) != 3 || got.values[1] != large || got.values[2] != "after" {
		t.Errorf("got %d values, want 3, the second of them %d bytes intact", len(got.values), len(large))
	}
}

func TestSourceAddsPartitionsThatAppear(t *testing.T) {
	cluster := newCluster(t, kfake.SeedTopics(1, "t"))
	c := open(t, cluster.ListenAddrs()...)
	before := starts(t, c, "t")
	s := newSource(t, c, before...)
	admin := kadm.NewClient(rawClient(t, cluster))
	if _, err := admin.UpdatePartitions(t.Context(), 2, "t"); err != nil {
		t.Fatal(err)
	}
	after := starts(t, c, "t")
	if len(after) != 2 {
		t.Fatalf("partitions: got %d, want 2", len(after))
	}
	if err := s.Add(t.Context(), after[:1]); err == nil || !strings.Contains(err.Error(), "two positions") {
		t.Errorf("add a partition twice: got error %v, want one of two positions", err)
	}
	if err := s.Add(t.Context(), after[1:]); err != nil {
		t.Fatal(err)
	}
	k := rawClient(t, cluster, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("t"))
	for p := range int32(2) {
		if err := k.ProduceSync(t.Context(), &kgo.Record{Partition: p, Value: []byte{'0' + byte(p)}}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, c, s, after)
	if join(got[tp("t", 0)].values) != "0" || join(got[tp("t", 1)].values) != "1" {
		t.Errorf("got %v and %v, want 0 and 1", got[tp("t", 0)].values, got[tp("t", 1)].values)
	}
}

// What a poll lends out is one memory for all polls: it must not change before
// it is released.
func TestSourceMemoryIsStableUntilRelease(t *testing.T) {
	cluster := newCluster(t, kfake.SeedTopics(4, "t"))
	c := open(t, cluster.ListenAddrs()...)
	k := rawClient(t, cluster, kgo.DefaultProduceTopic("t"), kgo.ProducerBatchMaxBytes(1<<12))
	for i := range 5000 {
		k.Produce(t.Context(), &kgo.Record{Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", i%97)), Headers: []kgo.RecordHeader{{Key: "i", Value: fmt.Append(nil, i)}}}, nil)
	}
	if err := k.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := newSource(t, c, starts(t, c, "t")...)
	for total := 0; total < 5000; {
		slices, err := s.Poll(t.Context(), 512)
		if err != nil {
			t.Fatal(err)
		}
		for _, slice := range slices {
			total += len(slice.Records)
			for _, r := range slice.Records {
				var i int
				if _, err := fmt.Sscan(string(r.Key), &i); err != nil {
					t.Fatal(err)
				}
				if want := fmt.Sprintf("%d %s", i, strings.Repeat("x", i%97)); string(r.Value) != want || string(r.Headers[0].Value) != string(r.Key) {
					t.Fatalf("record of key %s: got value %q, header %q; want %q", r.Key, r.Value, r.Headers[0].Value, want)
				}
			}
		}
		if total%2 == 0 {
			s.Release()
		}
	}
}
