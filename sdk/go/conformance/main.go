// Command conformance is the conformance plugin of the Go SDK:
// sdk/conformance/README.md says what each mode does.
package main

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	calve "github.com/calvelake/calve/sdk/go"
)

// What the plugin was configured to do.
var (
	config map[string]json.RawMessage
	mode   string
	input  []calve.Column
)

func init() {
	calve.Register(calve.Plugin{
		Name: "conformance", Version: "1.2.3", Summary: `does "what its config says"`,
		ConfigSchema: `{"type":"object"}`,
		Configure:    configure,
		Derive:       derive,
		More:         [][]calve.Column{{calve.Long("id"), calve.String("why")}},
		Transform:    func(in *calve.Batch, out *calve.Output) error { return modes[mode](in, out) },

		BatchRowsHint: 4096,
	})
}

func configure(raw []byte) error {
	if err := json.Unmarshal(raw, &config); err != nil {
		return err
	}
	if text, ok := member[string]("mode"); ok {
		mode = text
	}
	if modes[mode] == nil {
		return errors.New("mode " + strconv.Quote(mode) + " is unknown")
	}
	return nil
}

// member is a member of the config, if it is there and of that type.
func member[T any](name string) (v T, ok bool) {
	raw, ok := config[name]
	if !ok || string(raw) == "null" {
		return v, false
	}
	return v, json.Unmarshal(raw, &v) == nil
}

func derive(columns []calve.Column) ([]calve.Column, error) {
	input = columns
	switch mode {
	case "fill":
		return []calve.Column{calve.String("text")}, nil
	case "explode":
		return []calve.Column{calve.Long("id").Required(), calve.String("word").Required()}, nil
	case "sparse":
		return []calve.Column{
			calve.Long("number"), calve.String("word"), calve.Binary("raw"), calve.Boolean("flag"), calve.Decimal("amount", 20, 2),
		}, nil
	case "timestamps":
		return []calve.Column{calve.Timestamptz("at")}, nil
	case "positions":
		return []calve.Column{calve.String("topic"), calve.Int("partition"), calve.Long("offset"), calve.Timestamptz("at")}, nil
	case "config":
		return []calve.Column{calve.String("text"), calve.Double("number"), calve.Long("count"), calve.Boolean("flag")}, nil
	}
	return columns, nil
}

var modes = map[string]func(in *calve.Batch, out *calve.Output) error{
	"pass": pass, "copy": copyAll, "values": values, "even": even, "errors": rowErrors, "fill": fill,
	"explode": explode, "route": route, "sparse": sparse, "timestamps": timestamps, "positions": positions,
	"config": members, "log": logs, "metrics": metrics, "fail": fail, "trap": trap,

	"forget":     func(*calve.Batch, *calve.Output) error { return nil },
	"missing":    func(in *calve.Batch, _ *calve.Output) error { in.Long("nope"); return nil },
	"mistype":    func(in *calve.Batch, _ *calve.Output) error { in.Long("text"); return nil },
	"undeclared": func(_ *calve.Batch, out *calve.Output) error { out.Long("nope"); return nil },
	"misbuild":   func(_ *calve.Batch, out *calve.Output) error { out.Long("text"); return nil },
	"backwards":  backwards,
	"nostream":   func(_ *calve.Batch, out *calve.Output) error { out.Stream(7); return nil },
	"ownpass":    ownPass,
}

func pass(in *calve.Batch, out *calve.Output) error {
	for _, c := range input {
		out.Pass(c.Name, in.Column(c.Name))
	}
	return nil
}

// reader and setter are what the columns of all scalar types have in common.
type reader[T any] interface {
	At(i int) T
	IsNull(i int) bool
}

type setter[T any] interface{ Set(i int, v T) }

func copyRows[T any](rows int, from reader[T], to setter[T]) {
	for i := range rows {
		if !from.IsNull(i) {
			to.Set(i, from.At(i))
		}
	}
}

func copyAll(in *calve.Batch, out *calve.Output) error {
	for _, c := range input {
		copyColumn(in, out, c)
	}
	return nil
}

func copyColumn(in *calve.Batch, out *calve.Output, c calve.Column) {
	n, name := in.Len(), c.Name
	switch format, _, _ := strings.Cut(c.Format, ":"); format {
	case "b":
		copyRows(n, in.Boolean(name), out.Boolean(name))
	case "i":
		copyRows(n, in.Int(name), out.Int(name))
	case "l":
		copyRows(n, in.Long(name), out.Long(name))
	case "f":
		copyRows(n, in.Float(name), out.Float(name))
	case "g":
		copyRows(n, in.Double(name), out.Double(name))
	case "d":
		copyRows(n, in.Decimal(name), out.Decimal(name))
	case "u":
		copyRows(n, in.String(name), out.String(name))
	case "z":
		copyRows(n, in.Binary(name), out.Binary(name))
	case "tdD":
		copyRows(n, in.Date(name), out.Date(name))
	case "tsu":
		copyRows(n, in.Timestamp(name), out.Timestamp(name))
	default:
		out.Pass(name, in.Column(name))
	}
}

func values(in *calve.Batch, out *calve.Output) error {
	if err := pass(in, out); err != nil {
		return err
	}
	to := out.Long("id").Values()
	for i, v := range in.Long("id").Values() {
		to[i] = 2 * v
	}
	return nil
}

func even(in *calve.Batch, out *calve.Output) error {
	id := in.Long("id")
	out.Where(func(i int) bool { return id.At(i)%2 == 0 })
	return pass(in, out)
}

func rowErrors(in *calve.Batch, out *calve.Output) error {
	id := in.Long("id")
	for i := range in.Len() {
		switch v := id.At(i); {
		case v%3 == 0:
			out.RowError(i, "by_three", "id", "id "+strconv.FormatInt(v, 10)+" is divisible by 3")
			out.RowError(i, "again", "", "the first error of a row counts")
		case v%5 == 0:
			out.Drop(i)
		}
	}
	return pass(in, out)
}

func fill(in *calve.Batch, out *calve.Output) error {
	text, to := in.String("text"), out.String("text")
	for i := range in.Len() {
		to.Set(i, text.Or(i, "(none)"))
	}
	return nil
}

func explode(in *calve.Batch, out *calve.Output) error {
	out.OwnRows()
	ids, texts := in.Long("id"), in.String("text")
	id, word := out.Long("id"), out.String("word")
	for i := range in.Len() {
		for w := range strings.SplitSeq(texts.At(i), " ") {
			if w != "" {
				row := out.AddRow(i)
				id.Set(row, ids.At(i))
				word.Set(row, w)
			}
		}
	}
	return nil
}

func route(in *calve.Batch, out *calve.Output) error {
	id, other := in.Long("id"), out.Stream(1)
	for i := range in.Len() {
		if id.At(i) >= 0 {
			continue
		}
		out.Drop(i)
		other.OwnRows()
		row := other.AddRow(i)
		other.Long("id").Set(row, id.At(i))
		other.String("why").Set(row, "negative")
	}
	return pass(in, out)
}

func sparse(in *calve.Batch, out *calve.Output) error {
	id, text := in.Long("id"), in.String("text")
	number, word, raw := out.Long("number"), out.String("word"), out.Binary("raw")
	flag, amount := out.Boolean("flag"), out.Decimal("amount")
	for i := in.Len() - 1; i >= 0; i-- {
		number.Set(i, id.At(i))
	}
	for i := range in.Len() {
		if i%4 == 0 {
			number.SetNull(i)
		}
		if i%3 == 0 {
			word.Set(i, text.At(i))
			raw.Set(i, []byte(text.At(i)))
		}
		if i%2 == 0 {
			flag.Set(i, id.At(i)%2 != 0)
		} else {
			amount.SetInt(i, id.At(i))
		}
	}
	return nil
}

func timestamps(in *calve.Batch, out *calve.Output) error {
	text, at := in.String("text"), out.Timestamp("at")
	for i := range in.Len() {
		if us, ok := calve.ParseTimestamp(text.At(i)); ok {
			at.Set(i, us)
		}
	}
	return nil
}

func positions(in *calve.Batch, out *calve.Output) error {
	topic, partition, offset, at := out.String("topic"), out.Int("partition"), out.Long("offset"), out.Timestamp("at")
	for i := range in.Len() {
		if p, ok := in.Position(i); ok {
			topic.Set(i, p.Topic)
			partition.Set(i, p.Partition)
			offset.Set(i, p.Offset)
			at.Set(i, p.Timestamp)
		}
	}
	if w, ok := in.Watermark(); ok {
		calve.Count("watermark", w)
	}
	return nil
}

func members(in *calve.Batch, out *calve.Output) error {
	text, number, count, flag := out.String("text"), out.Double("number"), out.Long("count"), out.Boolean("flag")
	for i := range in.Len() {
		if v, ok := member[string]("text"); ok {
			text.Set(i, v)
		}
		if v, ok := member[float64]("number"); ok && !math.IsInf(v, 0) {
			number.Set(i, v)
		}
		if v, ok := member[int64]("count"); ok {
			count.Set(i, v)
		}
		if v, ok := member[bool]("flag"); ok {
			flag.Set(i, v)
		}
	}
	return nil
}

func logs(in *calve.Batch, out *calve.Output) error {
	text, _ := member[string]("text")
	calve.Log(calve.Info, "an info line: "+text)
	calve.Log(calve.Debug, "a debug line")
	return pass(in, out)
}

func metrics(in *calve.Batch, out *calve.Output) error {
	calve.Count("batches", 1)
	calve.Count("rows", int64(in.Len()))
	calve.Observe("sizes", float64(in.Len()))
	calve.Observe("sizes", 0.5)
	return pass(in, out)
}

// rowWith is the first row whose text is that, or -1.
func rowWith(in *calve.Batch, wanted string) int {
	text := in.String("text")
	for i := range in.Len() {
		if text.At(i) == wanted {
			return i
		}
	}
	return -1
}

func fail(in *calve.Batch, out *calve.Output) error {
	if row := rowWith(in, "fail"); row >= 0 {
		return errors.New("row " + strconv.Itoa(row) + " is refused")
	}
	return pass(in, out)
}

func trap(in *calve.Batch, out *calve.Output) error {
	if rowWith(in, "trap") >= 0 {
		panic("a row traps")
	}
	return pass(in, out)
}

func backwards(in *calve.Batch, out *calve.Output) error {
	text := out.String("text")
	text.Set(1, "b")
	text.Set(0, "a")
	return nil
}

func ownPass(in *calve.Batch, out *calve.Output) error {
	out.OwnRows()
	out.Pass("id", in.Column("id"))
	return nil
}

func main() {}
