package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/calvelake/calve/runtime/record"
)

func TestProduceCreatesTheTopicOnlyWhenAsked(t *testing.T) {
	c := open(t, newCluster(t).ListenAddrs()...)
	_, err := c.Produce(t.Context(), ProduceConfig{Topic: "t"}, sequence("a"))
	wantError(t, err, ErrNoTopic, `"t"`)
	n, err := c.Produce(t.Context(), ProduceConfig{Topic: "t", CreateTopic: true, Partitions: 3}, sequence("a", "b"))
	if n != 2 || err != nil {
		t.Fatalf("got %d records, error %v; want 2", n, err)
	}
	if n, err := c.Produce(t.Context(), ProduceConfig{Topic: "t", CreateTopic: true}, sequence("c")); n != 1 || err != nil {
		t.Fatalf("into a topic that is there: got %d records, error %v; want 1", n, err)
	}
	topics, err := c.Topics(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, p := range topics[0].Partitions {
		total += p.End
	}
	if len(topics[0].Partitions) != 3 || total != 3 {
		t.Errorf("got %d records in %d partitions, want 3 in 3", total, len(topics[0].Partitions))
	}
	for _, bad := range []ProduceConfig{{Topic: "no/such name", CreateTopic: true}, {Topic: "u", CreateTopic: true, Partitions: -1}} {
		if _, err := c.Produce(t.Context(), bad, sequence("a")); err == nil {
			t.Errorf("%+v: got no error", bad)
		}
	}
}

func TestProduceKeepsKeysTogetherAndInOrder(t *testing.T) {
	c := open(t, newCluster(t, kfake.SeedTopics(4, "t")).ListenAddrs()...)
	var lines strings.Builder
	for i := range 400 {
		fmt.Fprintf(&lines, "key%d\t%d\n", i%10, i)
	}
	n, err := c.Produce(t.Context(), ProduceConfig{Topic: "t"}, Lines(strings.NewReader(lines.String()), "\t"))
	if n != 400 || err != nil {
		t.Fatalf("got %d records, error %v; want 400", n, err)
	}
	positions := starts(t, c, "t")
	partitionOf := map[int]record.TopicPartition{}
	total := 0
	for at, got := range read(t, c, newSource(t, c, positions...), positions) {
		last := map[int]int{}
		for _, v := range got.values {
			var i int
			if _, err := fmt.Sscan(v, &i); err != nil {
				t.Fatal(err)
			}
			if p, seen := partitionOf[i%10]; seen && p != at {
				t.Fatalf("key%d: got it in %s and in %s", i%10, p, at)
			}
			partitionOf[i%10] = at
			if before, seen := last[i%10]; seen && before > i {
				t.Errorf("key%d: got %d after %d", i%10, i, before)
			}
			last[i%10] = i
			total++
		}
	}
	if total != 400 {
		t.Errorf("got %d records, want 400", total)
	}
}

func TestProduceReportsWhatIsTooLarge(t *testing.T) {
	c := open(t, newCluster(t).ListenAddrs()...)
	_, err := c.Produce(t.Context(), ProduceConfig{Topic: "t", CreateTopic: true}, sequence("a", strings.Repeat("x", 2_000_000)))
	wantError(t, err, kerr.MessageTooLarge, "record 2", "max_record_bytes")
}

func TestProduceStopsAtTheSequencesError(t *testing.T) {
	c := open(t, newCluster(t).ListenAddrs()...)
	_, err := c.Produce(t.Context(), ProduceConfig{Topic: "t", CreateTopic: true}, Lines(strings.NewReader("k:v\nnothing\nk:v\n"), ":"))
	if err == nil || !strings.Contains(err.Error(), `line 2: found no ":"`) {
		t.Errorf("got error %v, want one of line 2", err)
	}
}

func TestProduceStopsWithItsContext(t *testing.T) {
	c := open(t, newCluster(t).ListenAddrs()...)
	produce(t, c, "t", "a")
	ctx, cancel := context.WithCancel(t.Context())
	endless := func(yield func(ProduceRecord, error) bool) {
		for i := 0; yield(ProduceRecord{Value: []byte("x")}, nil); i++ {
			if i == 1000 {
				cancel()
			}
		}
	}
	_, err := c.Produce(ctx, ProduceConfig{Topic: "t"}, endless)
	wantError(t, err, context.Canceled)
}

func TestLines(t *testing.T) {
	long := strings.Repeat("long", 100_000)
	tests := []struct {
		name, input, separator string
		want                   []string // key=value
	}{
		{"nothing", "", "", nil},
		{"lines", "a\nb\n", "", []string{"=a", "=b"}},
		{"no end of line", "a\nb", "", []string{"=a", "=b"}},
		{"empty lines", "\n\na\n", "", []string{"=", "=", "=a"}},
		{"as they are", " a\t\r\n\x00\xff\n", "", []string{"= a\t\r", "=\x00\xff"}},
		{"long", long + "\n" + long, "", []string{"=" + long, "=" + long}},
		{"keys", "k::v::w\n::v\n", "::", []string{"k=v::w", "=v"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for r, err := range Lines(iotest.HalfReader(strings.NewReader(test.input)), test.separator) {
				if err != nil {
					t.Fatal(err)
				}
				if (test.separator == "") != (r.Key == nil) {
					t.Errorf("key: got %q", r.Key)
				}
				got = append(got, string(r.Key)+"="+string(r.Value))
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
				t.Errorf("got %.200q, want %.200q", got, test.want)
			}
		})
	}
	broken := errors.New("disk on fire")
	var got error
	for _, err := range Lines(io.MultiReader(bytes.NewReader([]byte("a\nb")), iotest.ErrReader(broken)), "") {
		got = err
	}
	wantError(t, got, broken, "line 2")
}
