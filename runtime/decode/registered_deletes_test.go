package decode

import (
	"strings"
	"testing"
)

const (
	sparseEvent = `{"type":"record","name":"Envelope","fields":[{"name":"before","type":["null",{"type":"record","name":"Value","fields":[
		{"name":"id","type":["null","long"]},{"name":"note","type":["null","string"]},{"name":"state","type":["null","string"]},
		{"name":"address","type":["null",{"type":"record","name":"Address","fields":[{"name":"street","type":["null","string"]}]}]}]}]},
		{"name":"after","type":["null","Value"]},` + sourceType + `,{"name":"op","type":"string"},{"name":"ts_ms","type":["null","long"]}]}`
	addressKey = `{"type":"record","name":"Key","fields":[{"name":"id","type":"long"},{"name":"address","type":{"type":"record","name":"A","fields":[{"name":"street","type":"string"}]}}]}`
)

// optional encodes values of unions of null and a type; nil is a null.
func optional(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		if p == nil {
			b = append(b, avroBytes(0)...)
			continue
		}
		b = append(b, avroBytes(1, p)...)
	}
	return b
}

// What the before image of a delete lacks comes from the record's key, then
// from the default, as in JSON.
func TestDeletesInAvroAreCompletedFromTheirKeys(t *testing.T) {
	known := newSchemas(map[int]string{1: sparseEvent, 2: orderKey, 3: addressKey, 4: documentKey})
	spec := registered("debezium-avro", known, required(col("id", "long")), col("note", "string"), required(fallback(col("state", "string"), "none")),
		from(col("street", "string"), "address.street"), from(col("op", "string"), "debezium.op"))
	before := func(parts ...any) []byte { return append(avroBytes(1), optional(parts...)...) }
	street := func(name any) []byte { return optional(name) }
	const marker = "__debezium_unavailable_value"
	var events, keys []string
	add := func(before []byte, key string) {
		events = append(events, wire(1, avroEvent(before, nil, "postgresql", "d")))
		keys = append(keys, key)
	}
	add(nil, wire(2, avroBytes(7)))
	add(before(1, "n", "s", street("x")), wire(3, avroBytes(8, "k")))
	add(before(nil, nil, nil, nil), wire(3, avroBytes(9, "k")))
	add(before(2, nil, "s", nil), wire(3, avroBytes(9, "long enough to be seen")))
	add(before(3, nil, nil, street(nil)), wire(3, avroBytes(9, "k")))
	add(nil, wire(2, avroBytes(10)))
	add(before(nil, marker, nil, nil), wire(2, avroBytes(11)))
	add(before(nil, "n", nil, nil), "")
	add(before(nil, "n", nil, nil), wire(4, avroBytes("x")))
	add(before(nil, "n", nil, nil), "no header")
	add(before(12, "n", nil, nil), "")
	s := values(events...)
	for i, key := range keys {
		if key != "" {
			s.Records[i].Key = []byte(key)
		}
	}
	rows, rejects := changeRows(t, spec, s)
	const at = ": d 2025-01-07T10:27:10.123Z 00000000000024023128 "
	equal(t, "rows", rows, []string{
		"0" + at + "[] | 7 | (null) | none | (null) | d",
		"1" + at + "[] | 1 | n | s | x | d",
		"2" + at + "[] | 9 | (null) | none | k | d",
		"3" + at + "[] | 2 | (null) | s | long enough to be seen | d",
		"4" + at + "[] | 3 | (null) | none | k | d",
		"5" + at + "[] | 10 | (null) | none | (null) | d",
		"6" + at + `["note"] | 11 | (null) | none | (null) | d`,
		"10" + at + "[] | 12 | n | none | (null) | d",
	})
	if len(rejects) != 3 {
		t.Fatalf("rejects: got %q, want 3", rejects)
	}
	for i, prefix := range []string{"7 missing id", "8 missing id", "9 missing id"} {
		if !strings.HasPrefix(rejects[i], prefix) || !strings.Contains(rejects[i], "REPLICA IDENTITY FULL") {
			t.Errorf("got reject %q, want %s and what to set", rejects[i], prefix)
		}
	}

	spec.Columns[1].Nullable = false
	_, rejects = changeRows(t, spec, values(wire(1, avroEvent(before(1, marker, nil, nil), nil, "postgresql", "d"))))
	if len(rejects) != 1 || !strings.HasPrefix(rejects[0], "0 missing note") || !strings.Contains(rejects[0], marker) {
		t.Errorf("got rejects %q, want that of the column whose value is not there", rejects)
	}
}
