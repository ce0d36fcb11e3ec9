package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/kafka"
)

const (
	clickSchema = `{"$schema":"http://json-schema.org/draft-07/schema#","title":"Click","type":"object",
		"properties":{"id":{"type":"integer"},"at":{"type":"number"}},"additionalProperties":true}`
	clickKeySchema = `{"$schema":"http://json-schema.org/draft-07/schema#","title":"Key","type":"object","properties":{"id":{"type":"integer"}}}`
)

// clickWays are the ways in which a click is broken.
const clickWays = 10

// clickMaker makes JSON behind the ids of JSON Schemas, keys included.
type clickMaker struct{ value, key int }

// clicks is a topic of Confluent's JSON Schema serializer.
func clicks(ctx context.Context, register register) (t *topic, err error) {
	m := &clickMaker{}
	if m.value, err = register(ctx, "formats.clicks-value", registry.Schema{Type: registry.JSON, Text: clickSchema}); err != nil {
		return nil, err
	}
	if m.key, err = register(ctx, "formats.clicks-key", registry.Schema{Type: registry.JSON, Text: clickKeySchema}); err != nil {
		return nil, err
	}
	return &topic{
		name: "formats.clicks", model: "clicks",
		columns: []column{
			{"id", "long"}, {"user_name", "string"}, {"amount", "decimal(12, 3)"}, {"clicked_at", "timestamptz"}, {"day", "date"},
			{"digest", "binary"}, {"tags", "list<string>"}, {"country", "string"}, {"click_key", "long"}, {"extra", "string"},
		},
		sample: m.sample,
	}, nil
}

func (m *clickMaker) sample(i int) (sample, error) {
	document, want := click(i)
	way := broken(i, clickWays)
	text, err := json.Marshal(document)
	if err != nil {
		return sample{}, err
	}
	s := sample{rows: []row{want}, ProduceRecord: kafka.ProduceRecord{
		Key: wire(m.key, fmt.Appendf(nil, `{"id":%d}`, i)), Value: wire(m.value, text),
	}}
	switch way {
	case -1:
		return s, nil
	case 0: // JSON that a plain serializer wrote
		return s.with(text).dead("malformed", ""), nil
	case 1:
		return s.with(s.Value[:len(s.Value)-1]).dead("malformed", ""), nil
	case 2:
		return s.with(wire(m.value, []byte("[1,2]"))).dead("type", ""), nil
	case 3:
		return s.with(nil).dead("tombstone", ""), nil
	case 4:
		return s.with(oversized()).dead("too_large", ""), nil
	}
	return m.spoilt(s, document, way)
}

// spoilt replaces a member.
func (m *clickMaker) spoilt(s sample, document map[string]any, way int) (sample, error) {
	reason, column := "type", "id"
	switch way {
	case 5:
		document["id"] = "seven"
	case 6:
		document["id"] = json.Number("9223372036854775808")
	case 7:
		delete(document, "id")
		reason = "missing"
	case 8: // more digits than the column keeps
		document["amount"], column = "1.0001", "amount"
	case 9:
		document["day"], column = "31/02/2026", "day"
	default:
		return s, errNoSample
	}
	text, err := json.Marshal(document)
	return s.with(wire(m.value, text)).dead(reason, column), err
}

// click is a document and its row.
func click(i int) (map[string]any, row) {
	at := instant(i).Truncate(time.Millisecond)
	document := map[string]any{"id": i, "at": at.UnixMilli(), "amount": fmt.Sprintf("%d.%03d", i, i%1000), "tags": nil}
	want := row{
		"id": i, "clicked_at": at.UnixMicro(), "amount": fmt.Sprintf("%d.%03d", i, i%1000), "country": "unknown", "click_key": i,
	}
	if i%3 == 0 {
		document["user"], want["user_name"] = map[string]any{"name": "J\u00f6rg \"J\" \U0001F600\n"}, "J\u00f6rg \"J\" \U0001F600\n"
		document["country"], want["country"] = "DE", "DE"
		document["tags"], want["tags"] = []string{"", "b"}, []string{"", "b"}
	}
	if i%5 == 0 {
		document["amount"], want["amount"] = json.Number(fmt.Sprintf("-%d.5", i+1)), fmt.Sprintf("-%d.500", i+1)
		document["day"], want["day"] = at.Format("02/01/2006"), day(at)
		document["digest"], want["digest"] = fmt.Sprintf("AB%04x", i), fmt.Sprintf("ab%04x", i)
	}
	if i%7 == 0 {
		document["ref"], want["extra"] = fmt.Sprint("r", i), fmt.Sprintf(`{"ref":"r%d"}`, i)
	}
	return document, want
}
