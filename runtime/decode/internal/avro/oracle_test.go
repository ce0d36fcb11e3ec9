package avro

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	arrays "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/twmb/avro"
)

// rawValues makes the library give the values of logical types as their
// physical ones, so that what they mean is worked out here a second time.
func rawValues() []avro.SchemaOpt {
	opts := []avro.SchemaOpt{avro.WithLaxNames(nil)}
	for name := range logicalTypes {
		opts = append(opts, avro.CustomType{LogicalType: name})
	}
	return opts
}

// unfit says why the library's value cannot be in a column.
type unfit string

// show writes the library's value, decoded with tagged unions, as the text that
// only is the one type of a union beside null, and any other type as it is.
func only(n *node) *node {
	var found []*node
	for _, b := range n.branches {
		if b.kind != null {
			found = append(found, b)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return n
}

// showRow writes of the row it must become.
func show(n *node, v any, t arrow.DataType) string {
	if n.kind == union {
		return showUnion(n, v, t)
	}
	if v == nil {
		return "null"
	}
	switch t := t.(type) {
	case *arrow.StructType:
		record := v.(map[string]any)
		var parts []string
		for _, f := range t.Fields() {
			text := "null"
			for _, have := range n.fields {
				if have.name == f.Name {
					text = show(have.node, record[f.Name], f.Type)
				}
			}
			parts = append(parts, f.Name+"="+text)
		}
		return "(" + strings.Join(parts, " ") + ")"
	case *arrow.ListType:
		var parts []string
		for _, item := range v.([]any) {
			parts = append(parts, show(n.items, item, t.Elem()))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case *arrow.MapType:
		var parts []string
		for key, item := range v.(map[string]any) {
			parts = append(parts, strconv.Quote(key)+":"+show(n.items, item, t.ItemType()))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, " ") + "}"
	case *arrow.StringType:
		if n.kind == structure || n.kind == array || n.kind == mapping {
			return "json " + canonical(jsonValue(n, v))
		}
		if raw, ok := v.([]byte); ok && n.kind == fixed {
			return strconv.Quote(fixedValue(n, raw))
		}
	case *arrow.Decimal128Type:
		return unscaled(v.([]byte), n.scale).FloatString(int(t.Scale))
	case *arrow.TimestampType:
		return showTime(n, v)
	}
	switch v := v.(type) {
	case float32:
		return number(float64(v))
	case float64:
		return number(v)
	case int32:
		if t.ID() == arrow.FLOAT64 || t.ID() == arrow.FLOAT32 {
			return number(float64(v))
		}
	case string:
		return strconv.Quote(v)
	case []byte:
		return "0x" + hex.EncodeToString(v)
	}
	return fmt.Sprint(v)
}

// showUnion shows the branch that a tagged value names.
func showUnion(n *node, v any, t arrow.DataType) string {
	branch, inner := branchOf(n, v)
	if branch.kind == null {
		return "null"
	}
	if _, _, ok := n.nullable(); !ok && t.ID() == arrow.STRING && !eachIsText(n) {
		return "json " + canonical(jsonValue(branch, inner))
	}
	return show(branch, inner, t)
}

// eachIsText tells whether each branch can be in a string column by itself.
func eachIsText(n *node) bool {
	for _, b := range n.branches {
		switch b.kind {
		case null, text, enum, structure, array, mapping:
		case fixed:
			if b.meaning != uuid && b.meaning != duration {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func branchOf(n *node, v any) (*node, any) {
	if v == nil {
		return &node{kind: null}, nil
	}
	for tag, inner := range v.(map[string]any) {
		for _, b := range n.branches {
			if b.name == tag {
				return b, inner
			}
		}
		panic(fmt.Sprintf("the library names branch %q of %s", tag, n.describe()))
	}
	panic("an untagged value")
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func unscaled(raw []byte, scale int) *big.Rat {
	if len(raw) == 0 {
		panic(unfit("a decimal without bytes"))
	}
	n := new(big.Int).SetBytes(raw)
	if raw[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
	}
	return new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
}

func showTime(n *node, v any) string {
	if s, ok := v.(string); ok {
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			panic(unfit("text that is no time"))
		}
		return fmt.Sprint(at.UnixMicro())
	}
	x := v.(int64)
	switch n.meaning {
	case millis, localMillis:
		product := new(big.Int).Mul(big.NewInt(x), big.NewInt(1000))
		if !product.IsInt64() {
			panic(unfit("milliseconds beyond microseconds in 64 bits"))
		}
		return product.String()
	case nanos, localNanos:
		return fmt.Sprint(int64(math.Floor(float64(x%1000)/1000)) + x/1000)
	}
	return fmt.Sprint(x)
}

func fixedValue(n *node, raw []byte) string {
	if n.meaning == uuid {
		return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
	}
	d := avro.DurationFromBytes(raw)
	seconds := strings.TrimSuffix(fmt.Sprintf("%d.%03d", d.Milliseconds/1000, d.Milliseconds%1000), ".000")
	return fmt.Sprintf("P%dM%dDT%sS", d.Months, d.Days, seconds)
}

// jsonValue makes what encoding/json writes as the JSON text of a value.
func jsonValue(n *node, v any) any {
	if n.kind == union {
		n, v = branchOf(n, v)
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, inner := range v {
			item := n.items
			for _, f := range n.fields {
				if f.name == key {
					item = f.node
				}
			}
			out[key] = jsonValue(item, inner)
		}
		return out
	case []any:
		out := []any{}
		for _, item := range v {
			out = append(out, jsonValue(n.items, item))
		}
		return out
	case []byte:
		switch {
		case n.meaning == decimalNumber:
			return json.Number(unscaled(v, n.scale).FloatString(n.scale))
		case n.meaning == uuid || n.meaning == duration:
			return fixedValue(n, v)
		}
	case float32:
		return jsonFloat(float64(v), 32)
	case float64:
		return jsonFloat(v, 64)
	case int32:
		if n.meaning == dateDays {
			return jsonTime(time.Unix(int64(v)*86400, 0), time.DateOnly, int64(v))
		}
	case int64:
		switch n.meaning {
		case millis:
			return jsonTime(time.UnixMilli(v), time.RFC3339Nano, v)
		case micros:
			return jsonTime(time.UnixMicro(v), time.RFC3339Nano, v)
		case nanos:
			return jsonTime(time.Unix(v/1e9, v%1e9), time.RFC3339Nano, v)
		case localMillis:
			return jsonTime(time.UnixMilli(v), "2006-01-02T15:04:05.999999999", v)
		case localMicros:
			return jsonTime(time.UnixMicro(v), "2006-01-02T15:04:05.999999999", v)
		case localNanos:
			return jsonTime(time.Unix(v/1e9, v%1e9), "2006-01-02T15:04:05.999999999", v)
		}
	}
	return v
}

func jsonTime(at time.Time, layout string, x int64) any {
	if at = at.UTC(); at.Year() < 0 || at.Year() > 9999 {
		return x
	}
	return at.Format(layout)
}

func jsonFloat(f float64, width int) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return strings.Replace(strings.TrimPrefix(fmt.Sprint(f), "+"), "Inf", "Infinity", 1)
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, width))
}

// canonical is JSON text with members in order.
func canonical(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// showRow writes a row of a column.
func showRow(column arrow.Array, row int, n *node) string {
	if column.IsNull(row) {
		return "null"
	}
	switch c := column.(type) {
	case *arrays.Struct:
		var parts []string
		for i, f := range c.DataType().(*arrow.StructType).Fields() {
			var inner *node
			for _, have := range only(n).fields {
				if have.name == f.Name {
					inner = have.node
				}
			}
			parts = append(parts, f.Name+"="+showRow(c.Field(i), row, inner))
		}
		return "(" + strings.Join(parts, " ") + ")"
	case *arrays.Map:
		var parts []string
		for i := int(c.Offsets()[row]); i < int(c.Offsets()[row+1]); i++ {
			parts = append(parts, showRow(c.Keys(), i, &node{kind: text})+":"+showRow(c.Items(), i, only(n).items))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, " ") + "}"
	case *arrays.List:
		var parts []string
		for i := int(c.Offsets()[row]); i < int(c.Offsets()[row+1]); i++ {
			parts = append(parts, showRow(c.ListValues(), i, only(n).items))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case *arrays.String:
		// A union of text and nested types holds either; random text is no JSON.
		nested := n != nil && n.kind == union && json.Valid([]byte(c.Value(row))) && strings.ContainsAny(c.Value(row)[:1], "{[")
		if n != nil && (nested || isJSONText(n)) {
			return "json " + normalized(c.Value(row))
		}
		return strconv.Quote(c.Value(row))
	case *arrays.Binary:
		return "0x" + hex.EncodeToString(c.Value(row))
	case *arrays.Float32:
		return number(float64(c.Value(row)))
	case *arrays.Float64:
		return number(c.Value(row))
	case *arrays.Int32:
		return fmt.Sprint(c.Value(row))
	case *arrays.Date32:
		return fmt.Sprint(int32(c.Value(row)))
	case *arrays.Int64:
		return fmt.Sprint(c.Value(row))
	case *arrays.Timestamp:
		return fmt.Sprint(int64(c.Value(row)))
	case *arrays.Decimal128:
		return new(big.Rat).SetFrac(c.Value(row).BigInt(), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.DataType().(*arrow.Decimal128Type).Scale)), nil)).FloatString(int(c.DataType().(*arrow.Decimal128Type).Scale))
	case *arrays.Boolean:
		return fmt.Sprint(c.Value(row))
	}
	panic("a column of type " + column.DataType().String())
}

// isJSONText tells whether a string column of a type is JSON text whatever the
// value is. Of a union of text and others it depends on the value.
func isJSONText(n *node) bool {
	n = only(n)
	switch n.kind {
	case structure, array, mapping:
		return true
	case union:
		return !eachIsText(n)
	}
	return false
}

// normalized reads JSON text and writes it with members in order; the last of
// members with one name counts.
func normalized(s string) string {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(fmt.Sprintf("JSON text %s: %v", s, err))
	}
	return canonical(v)
}
