package bench

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/bytedance/sonic"
	"github.com/bytedance/sonic/ast"
	goccy "github.com/goccy/go-json"
	"github.com/valyala/fastjson"
)

// arrowGo decodes by arrow-go itself.
func arrowGo(schema *arrow.Schema, messages [][]byte) candidate {
	return candidate{"arrow-go UnmarshalJSON", func(t testing.TB) arrow.RecordBatch {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		b.Reserve(len(messages))
		for _, m := range messages {
			if err := b.UnmarshalJSON(m); err != nil {
				t.Fatal(err)
			}
		}
		return b.NewRecordBatch()
	}}
}

// clickBuilders are the builders of clickColumns, with room for a batch.
type clickBuilders struct {
	record                      *array.RecordBuilder
	eventID, eventType, session *array.StringBuilder
	user                        *array.Int64Builder
	ts                          *array.TimestampBuilder
	page, referrer              *array.StringBuilder
	duration                    *array.Int32Builder
	scroll                      *array.Float64Builder
	mobile                      *array.BooleanBuilder
	payload                     *array.StructBuilder
	campaign, variant           *array.StringBuilder
	position                    *array.Int32Builder
	price                       *array.Float64Builder
}

func newClickBuilders(schema *arrow.Schema) *clickBuilders {
	r := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	r.Reserve(batch)
	p := r.Field(10).(*array.StructBuilder)
	c := &clickBuilders{
		record: r, eventID: r.Field(0).(*array.StringBuilder), eventType: r.Field(1).(*array.StringBuilder), user: r.Field(2).(*array.Int64Builder),
		session: r.Field(3).(*array.StringBuilder), ts: r.Field(4).(*array.TimestampBuilder), page: r.Field(5).(*array.StringBuilder),
		referrer: r.Field(6).(*array.StringBuilder), duration: r.Field(7).(*array.Int32Builder), scroll: r.Field(8).(*array.Float64Builder),
		mobile: r.Field(9).(*array.BooleanBuilder), payload: p, campaign: p.FieldBuilder(0).(*array.StringBuilder),
		position: p.FieldBuilder(1).(*array.Int32Builder), price: p.FieldBuilder(2).(*array.Float64Builder), variant: p.FieldBuilder(3).(*array.StringBuilder),
	}
	for b, width := range map[*array.StringBuilder]int{c.eventID: 37, c.eventType: 9, c.session: 17, c.page: 60, c.referrer: 20, c.campaign: 12, c.variant: 5} {
		b.ReserveData(batch * width)
	}
	for i := range p.NumField() {
		p.FieldBuilder(i).Reserve(batch)
	}
	return c
}

// micros reads RFC 3339 by package time.
func micros(text string) (arrow.Timestamp, error) {
	at, err := time.Parse(time.RFC3339, text)
	return arrow.Timestamp(at.UnixMicro()), err
}

func (c *clickBuilders) add(e *click) error {
	at, err := micros(e.TS)
	if err != nil {
		return err
	}
	c.eventID.Append(e.EventID)
	c.eventType.Append(e.EventType)
	c.user.Append(e.UserID)
	c.session.Append(e.SessionID)
	c.ts.Append(at)
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
	return nil
}

// clickStructs decodes each event to a struct and appends that.
func clickStructs(name string, schema *arrow.Schema, messages [][]byte, unmarshal func([]byte, any) error) candidate {
	return candidate{name, func(t testing.TB) arrow.RecordBatch {
		c := newClickBuilders(schema)
		defer c.record.Release()
		for _, m := range messages {
			var e click
			if err := unmarshal(m, &e); err != nil {
				t.Fatal(err)
			}
			if err := c.add(&e); err != nil {
				t.Fatal(err)
			}
		}
		return c.record.NewRecordBatch()
	}}
}

func sonicStructs(schema *arrow.Schema, messages [][]byte) candidate {
	return clickStructs("sonic structs", schema, messages, sonic.ConfigDefault.Unmarshal)
}

func goccyStructs(schema *arrow.Schema, messages [][]byte) candidate {
	return clickStructs("goccy structs", schema, messages, func(b []byte, v any) error { return goccy.Unmarshal(b, v) })
}

// valyala appends from a parsed tree.
func valyala(schema *arrow.Schema, messages [][]byte) candidate {
	return candidate{"valyala fastjson", func(t testing.TB) arrow.RecordBatch {
		c := newClickBuilders(schema)
		defer c.record.Release()
		var p fastjson.Parser
		for _, m := range messages {
			v, err := p.ParseBytes(m)
			if err != nil {
				t.Fatal(err)
			}
			text := func(v *fastjson.Value, key string) string {
				b := v.GetStringBytes(key)
				return unsafe.String(unsafe.SliceData(b), len(b))
			}
			payload := v.Get("payload")
			e := click{
				EventID: text(v, "event_id"), EventType: text(v, "event_type"), UserID: v.GetInt64("user_id"), SessionID: text(v, "session_id"),
				TS: text(v, "ts"), PageURL: text(v, "page_url"), DurationMS: int32(v.GetInt("duration_ms")), Scroll: v.GetFloat64("scroll"),
				IsMobile: v.GetBool("is_mobile"),
			}
			if r := v.Get("referrer"); r != nil && r.Type() == fastjson.TypeString {
				s := text(v, "referrer")
				e.Referrer = &s
			}
			e.Payload.Campaign, e.Payload.Position = text(payload, "campaign"), int32(payload.GetInt("position"))
			e.Payload.Price, e.Payload.Variant = payload.GetFloat64("price"), text(payload, "variant")
			if err := c.add(&e); err != nil {
				t.Fatal(err)
			}
		}
		return c.record.NewRecordBatch()
	}}
}

// sonicVisitor appends while sonic walks the document.
func sonicVisitor(schema *arrow.Schema, messages [][]byte) candidate {
	return candidate{"sonic ast visitor", func(t testing.TB) arrow.RecordBatch {
		v := &clickVisitor{clickBuilders: newClickBuilders(schema)}
		defer v.record.Release()
		for _, m := range messages {
			v.depth = 0
			if err := ast.Preorder(unsafe.String(unsafe.SliceData(m), len(m)), v, nil); err != nil {
				t.Fatal(err)
			}
		}
		return v.record.NewRecordBatch()
	}}
}

// clickVisitor is the events' consumer for sonic; it knows the present member.
type clickVisitor struct {
	*clickBuilders
	depth int
	key   string
}

func (v *clickVisitor) OnNull() error {
	if v.key != "referrer" {
		return fmt.Errorf("%s is null", v.key)
	}
	v.referrer.AppendNull()
	return nil
}

func (v *clickVisitor) OnBool(x bool) error {
	v.mobile.Append(x)
	return nil
}

func (v *clickVisitor) OnString(s string) error {
	switch v.key {
	case "event_id":
		v.eventID.Append(s)
	case "event_type":
		v.eventType.Append(s)
	case "session_id":
		v.session.Append(s)
	case "ts":
		at, err := micros(s)
		v.ts.Append(at)
		return err
	case "page_url":
		v.page.Append(s)
	case "referrer":
		v.referrer.Append(s)
	case "campaign":
		v.campaign.Append(s)
	case "variant":
		v.variant.Append(s)
	}
	return nil
}

func (v *clickVisitor) OnInt64(x int64, _ json.Number) error {
	switch v.key {
	case "user_id":
		v.user.Append(x)
	case "duration_ms":
		v.duration.Append(int32(x))
	case "position":
		v.position.Append(int32(x))
	case "scroll":
		v.scroll.Append(float64(x))
	case "price":
		v.price.Append(float64(x))
	}
	return nil
}

func (v *clickVisitor) OnFloat64(x float64, _ json.Number) error {
	switch v.key {
	case "scroll":
		v.scroll.Append(x)
	case "price":
		v.price.Append(x)
	}
	return nil
}

func (v *clickVisitor) OnObjectBegin(int) error {
	if v.depth++; v.depth == 2 {
		v.payload.Append(true)
	}
	return nil
}

func (v *clickVisitor) OnObjectKey(key string) error {
	v.key = key
	return nil
}

func (v *clickVisitor) OnObjectEnd() error     { return nil }
func (v *clickVisitor) OnArrayBegin(int) error { return nil }
func (v *clickVisitor) OnArrayEnd() error      { return nil }
