package avro

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// schemas makes random schemas as JSON text.
type schemas struct {
	*rand.Rand
	names   int
	records []string // names of records around, for references
}

func (s *schemas) name() string {
	s.names++
	return fmt.Sprintf("N%d", s.names)
}

var primitives = []any{
	"boolean", "int", "long", "float", "double", "bytes", "string", "null",
	logical("int", "date"), logical("int", "time-millis"), logical("long", "time-micros"),
	logical("long", "timestamp-millis"), logical("long", "timestamp-micros"), logical("long", "timestamp-nanos"),
	logical("long", "local-timestamp-millis"), logical("long", "local-timestamp-micros"), logical("long", "local-timestamp-nanos"),
	logical("string", "uuid"), decimalOf(9, 2), decimalOf(38, 10),
}

func logical(kind, name string) any { return map[string]any{"type": kind, "logicalType": name} }

func decimalOf(precision, scale int) any {
	return map[string]any{"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
}

// value makes any type.
func (s *schemas) value(depth int) any {
	if depth <= 0 {
		return primitives[s.IntN(len(primitives))]
	}
	switch s.IntN(12) {
	case 0:
		return map[string]any{"type": "array", "items": s.value(depth - 1)}
	case 1:
		return map[string]any{"type": "map", "values": s.value(depth - 1)}
	case 2:
		return s.record(depth - 1)
	case 3:
		return map[string]any{"type": "enum", "name": s.name(), "symbols": []string{"RED", "GREEN", "BLUE"}}
	case 4:
		return s.fixed()
	case 5, 6:
		return s.option(depth)
	case 7:
		return s.union(depth)
	}
	return primitives[s.IntN(len(primitives))]
}

func (s *schemas) fixed() any {
	switch s.IntN(4) {
	case 0:
		return map[string]any{"type": "fixed", "name": s.name(), "size": 16, "logicalType": "uuid"}
	case 1:
		return map[string]any{"type": "fixed", "name": s.name(), "size": 12, "logicalType": "duration"}
	case 2:
		return map[string]any{"type": "fixed", "name": s.name(), "size": 8, "logicalType": "decimal", "precision": 18, "scale": 3}
	}
	return map[string]any{"type": "fixed", "name": s.name(), "size": s.IntN(20)}
}

func (s *schemas) option(depth int) any {
	var inner any = "long"
	if len(s.records) > 0 && s.IntN(4) == 0 {
		inner = s.records[s.IntN(len(s.records))] // recursion, bounded by the value
	} else {
		for {
			inner = s.value(depth - 1)
			if _, isUnion := inner.([]any); !isUnion && inner != "null" {
				break
			}
		}
	}
	if s.IntN(2) == 0 {
		return []any{"null", inner}
	}
	return []any{inner, "null"}
}

// union makes one of several kinds, since each may come once but for named
// types.
func (s *schemas) union(depth int) any {
	var out []any
	for _, kind := range []string{"null", "boolean", "int", "long", "float", "double", "string", "bytes", "record", "array", "map"} {
		if s.IntN(3) > 0 {
			continue
		}
		switch kind {
		case "record":
			out = append(out, s.record(depth-1))
		case "array":
			out = append(out, map[string]any{"type": "array", "items": s.value(depth - 1)})
		case "map":
			out = append(out, map[string]any{"type": "map", "values": s.value(depth - 1)})
		default:
			out = append(out, kind)
		}
	}
	if len(out) == 0 {
		return []any{"string"}
	}
	return out
}

func (s *schemas) record(depth int) any {
	name := s.name()
	s.records = append(s.records, name)
	fields := []any{}
	for i := range s.IntN(6) {
		fields = append(fields, map[string]any{"name": fmt.Sprintf("f%d", i), "type": s.value(depth)})
	}
	s.records = s.records[:len(s.records)-1]
	return map[string]any{"type": "record", "name": name, "fields": fields}
}

func (s *schemas) text() string {
	out, err := json.Marshal(s.record(3))
	if err != nil {
		panic(err)
	}
	return string(out)
}

// encode appends a random value in the binary encoding, arrays and maps in
// blocks of both forms.
func encode(r *rand.Rand, dst []byte, n *node, depth int) []byte {
	switch n.kind {
	case boolean:
		return append(dst, byte(r.IntN(2)))
	case integer:
		return binary.AppendVarint(dst, int64(int32(randomLong(r))))
	case long:
		x := randomLong(r)
		if n.meaning == millis || n.meaning == localMillis {
			x %= 253402300799000
		}
		return binary.AppendVarint(dst, x)
	case float:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(r.NormFloat64())))
	case double:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(r.NormFloat64()))
	case text:
		s := randomText(r)
		return append(binary.AppendVarint(dst, int64(len(s))), s...)
	case bytes:
		size := r.IntN(12)
		if n.meaning == decimalNumber {
			size = 1 + r.IntN(3)
		}
		return randomBytes(r, binary.AppendVarint(dst, int64(size)), size)
	case fixed:
		if n.meaning == decimalNumber {
			return binary.BigEndian.AppendUint64(dst, uint64(randomLong(r)%1e17))
		}
		return randomBytes(r, dst, n.size)
	case enum:
		return binary.AppendVarint(dst, int64(r.IntN(len(n.symbols))))
	case union:
		branch := r.IntN(len(n.branches))
		for i, b := range n.branches {
			if depth > 8 && b.kind == null {
				branch = i
			}
		}
		return encode(r, binary.AppendVarint(dst, int64(branch)), n.branches[branch], depth+1)
	case structure:
		for _, f := range n.fields {
			dst = encode(r, dst, f.node, depth+1)
		}
		return dst
	case array, mapping:
		return encodeBlocks(r, dst, n, depth)
	}
	return dst
}

func encodeBlocks(r *rand.Rand, dst []byte, n *node, depth int) []byte {
	key := 0
	for range r.IntN(3) {
		count := 1 + r.IntN(12)
		if depth > 4 {
			count = 1
		}
		var items []byte
		for range count {
			if n.kind == mapping {
				key++
				name := fmt.Sprintf("k%d", key)
				items = append(binary.AppendVarint(items, int64(len(name))), name...)
			}
			items = encode(r, items, n.items, depth+1)
		}
		if r.IntN(2) == 0 {
			dst = binary.AppendVarint(dst, int64(count))
		} else {
			dst = binary.AppendVarint(binary.AppendVarint(dst, int64(-count)), int64(len(items)))
		}
		dst = append(dst, items...)
	}
	return append(dst, 0)
}

func randomLong(r *rand.Rand) int64 { return int64(r.Uint64()) >> r.IntN(64) }

func randomText(r *rand.Rand) string {
	const letters = "abcdefghij é\"\\\n\x01€😀"
	runes := []rune(letters)
	var out []rune
	n := r.IntN(10)
	if r.IntN(8) == 0 {
		n = r.IntN(200)
	}
	for range n {
		out = append(out, runes[r.IntN(len(runes)>>r.IntN(2))])
	}
	return string(out)
}

func randomBytes(r *rand.Rand, dst []byte, n int) []byte {
	for range n {
		dst = append(dst, byte(r.Uint32()))
	}
	return dst
}

// epoch is a time that tests write in several forms.
var epoch = time.Date(2024, 2, 29, 12, 34, 56, 789_123_000, time.UTC)
