package bench

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	hamba "github.com/hamba/avro/v2"
	twmb "github.com/twmb/avro"

	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/decode/registry"
)

// clickAvro is the schema of the click event. ts is micros since 1970.
const clickAvro = `{"type":"record","name":"Click","namespace":"com.example","fields":[
	{"name":"event_id","type":"string"},
	{"name":"event_type","type":"string"},
	{"name":"user_id","type":"long"},
	{"name":"session_id","type":"string"},
	{"name":"ts","type":{"type":"long","logicalType":"timestamp-micros"}},
	{"name":"page_url","type":"string"},
	{"name":"referrer","type":["null","string"]},
	{"name":"duration_ms","type":"int"},
	{"name":"scroll","type":"double"},
	{"name":"is_mobile","type":"boolean"},
	{"name":"payload","type":{"type":"record","name":"Payload","fields":[
		{"name":"campaign","type":"string"},
		{"name":"position","type":"int"},
		{"name":"price","type":"double"},
		{"name":"variant","type":"string"}]}}]}`

// plainAvro is the same for the libraries, which would make a time.Time of a
// timestamp: a long costs them less.
var plainAvro = strings.Replace(clickAvro, `{"type":"long","logicalType":"timestamp-micros"}`, `"long"`, 1)

// clickRecord is the event for libraries that decode to structs.
type clickRecord struct {
	EventID    string  `avro:"event_id"`
	EventType  string  `avro:"event_type"`
	UserID     int64   `avro:"user_id"`
	SessionID  string  `avro:"session_id"`
	TS         int64   `avro:"ts"`
	PageURL    string  `avro:"page_url"`
	Referrer   *string `avro:"referrer"`
	DurationMS int32   `avro:"duration_ms"`
	Scroll     float64 `avro:"scroll"`
	IsMobile   bool    `avro:"is_mobile"`
	Payload    struct {
		Campaign string  `avro:"campaign"`
		Position int32   `avro:"position"`
		Price    float64 `avro:"price"`
		Variant  string  `avro:"variant"`
	} `avro:"payload"`
}

const clickSchemaID = 7

// oneSchema is a registry of the click event's schema.
type oneSchema struct{ schema registry.Schema }

func (o oneSchema) Schema(_ context.Context, id int) (registry.Schema, error) {
	if id != o.schema.ID {
		return registry.Schema{}, registry.ErrUnknown
	}
	return o.schema, nil
}

// oursBySchema decodes messages of a schema by the public interface.
func oursBySchema(t testing.TB, format string, schema registry.Schema, messages [][]byte) candidate {
	return decoded(t, decode.Spec{Format: format, Schemas: oneSchema{schema}}, clickColumns, messages)
}

// clicksAvro encodes the click events, with Confluent's header.
func clicksAvro(t testing.TB) [][]byte {
	t.Helper()
	schema, err := twmb.Parse(plainAvro)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, text := range clicks() {
		var e click
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		at, err := micros(e.TS)
		if err != nil {
			t.Fatal(err)
		}
		r := clickRecord{EventID: e.EventID, EventType: e.EventType, UserID: e.UserID, SessionID: e.SessionID, TS: int64(at), PageURL: e.PageURL,
			Referrer: e.Referrer, DurationMS: e.DurationMS, Scroll: e.Scroll, IsMobile: e.IsMobile}
		r.Payload.Campaign, r.Payload.Position, r.Payload.Price, r.Payload.Variant = e.Payload.Campaign, e.Payload.Position, e.Payload.Price, e.Payload.Variant
		body, err := schema.AppendEncode([]byte{0, 0, 0, 0, clickSchemaID}, &r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, body)
	}
	return packed(out)
}

func (c *clickBuilders) addRecord(e *clickRecord) {
	c.eventID.Append(e.EventID)
	c.eventType.Append(e.EventType)
	c.user.Append(e.UserID)
	c.session.Append(e.SessionID)
	c.ts.Append(arrow.Timestamp(e.TS))
	c.page.Append(e.PageURL)
	if e.Referrer == nil {
		c.referrer.AppendNull()
	} else {
		c.referrer.Append(*e.Referrer)
	}
	c.duration.Append(e.DurationMS)
	c.scroll.Append(e.Scroll)
	c.mobile.Append(e.IsMobile)
	c.payload.Append(true)
	c.campaign.Append(e.Payload.Campaign)
	c.position.Append(e.Payload.Position)
	c.price.Append(e.Payload.Price)
	c.variant.Append(e.Payload.Variant)
}

// avroStructs decodes each event to a struct, which is reused, and appends
// that.
func avroStructs(name string, schema *arrow.Schema, messages [][]byte, unmarshal func([]byte, *clickRecord) error) candidate {
	return candidate{name, func(t testing.TB) arrow.RecordBatch {
		c := newClickBuilders(schema)
		defer c.record.Release()
		var e clickRecord
		for _, m := range messages {
			if err := unmarshal(m[5:], &e); err != nil {
				t.Fatal(err)
			}
			c.addRecord(&e)
		}
		return c.record.NewRecordBatch()
	}}
}

func BenchmarkFigureAvro(b *testing.B) {
	messages := clicksAvro(b)
	schema := schemaOf(b, clickColumns)
	theirs, err := twmb.Parse(plainAvro)
	if err != nil {
		b.Fatal(err)
	}
	others, err := hamba.Parse(plainAvro)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		took := measure(b,
			oursBySchema(b, "avro", registry.Schema{ID: clickSchemaID, Type: registry.Avro, Text: clickAvro}, messages),
			avroStructs("twmb structs", schema, messages, func(m []byte, e *clickRecord) error {
				_, err := theirs.Decode(m, e)
				return err
			}),
			avroStructs("hamba structs", schema, messages, func(m []byte, e *clickRecord) error { return hamba.Unmarshal(others, m, e) }))
		b.ReportMetric(ratio(took[0], took[1:]...), "decode.avro.vs_library")
	}
}
