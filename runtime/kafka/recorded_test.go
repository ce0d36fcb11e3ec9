package kafka

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestRecordedEventsAreProducedAsTheyWere(t *testing.T) {
	c := open(t, newCluster(t, kfake.SeedTopics(1, "t")).ListenAddrs()...)
	const lines = `{"timestamp":1767603600123,"key":{"id":1},"value":{"a": "ü", "n":1.50}}
{"timestamp":1767603600124,"key":{"id":1},"value":null}
{"timestamp":1767603600124,"key":null,"value":"text"}
`
	if n, err := c.Produce(t.Context(), ProduceConfig{Topic: "t", KeepTimestamps: true}, Recorded(strings.NewReader(lines))); n != 3 || err != nil {
		t.Fatalf("got %d records, error %v; want 3", n, err)
	}
	s := newSource(t, c, starts(t, c, "t")...)
	var got []string
	for len(got) < 3 {
		slices, err := s.Poll(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, slice := range slices {
			for _, r := range slice.Records {
				got = append(got, fmt.Sprintf("%d %q %q %v", r.Timestamp, r.Key, r.Value, r.Value == nil))
			}
		}
	}
	want := []string{
		`1767603600123000 "{\"id\":1}" "{\"a\": \"ü\", \"n\":1.50}" false`,
		`1767603600124000 "{\"id\":1}" "" true`,
		`1767603600124000 "" "\"text\"" false`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestARecordedEventIsReadBackAsItWasWritten(t *testing.T) {
	written := RecordedEvent{Timestamp: 1767603600123, Key: json.RawMessage(`{"id":1}`)}
	line, err := json.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range Recorded(strings.NewReader(string(line))) {
		if err != nil || string(r.Key) != `{"id":1}` || r.Value != nil || !r.Timestamp.Equal(time.UnixMilli(1767603600123)) {
			t.Errorf("got %+v, error %v", r, err)
		}
	}
}

func TestWhatIsNoRecordedEventIsRefusedWithItsLine(t *testing.T) {
	const good = `{"timestamp":1,"key":{},"value":{}}`
	for _, bad := range []string{``, `text`, `{"timestamp":1,"key":{}}`, `{"key":{},"value":{}}`, `{"timestamp":1,"key":{},"value":{},"topic":"t"}`} {
		var got error
		n := 0
		for _, err := range Recorded(strings.NewReader(good + "\n" + bad + "\n" + good + "\n")) {
			n++
			got = err
		}
		if n != 2 || got == nil || !strings.Contains(got.Error(), "line 2: read recorded event") {
			t.Errorf("%q: got %d records, error %v; want one of line 2", bad, n, got)
		}
	}
}
