// Command session is the conformance plugin of the Go SDK for sessions:
// sdk/conformance/README.md says what it does.
package main

import (
	"errors"
	"strconv"

	calve "github.com/calvelake/calve/sdk/go"
)

func init() {
	calve.RegisterSession(calve.Session{
		Name: "conformance", Version: "1.2.3", Summary: "sums up sessions",
		Input: []calve.Column{
			calve.Boolean("flag"), calve.Int("small"), calve.Long("big"), calve.Float("single"), calve.Double("double"),
			calve.Decimal("amount", 20, 2), calve.String("text"), calve.Binary("raw"), calve.Date("day"),
			calve.Timestamp("at"), calve.Timestamptz("at_utc"),
		},
		State: []calve.StateColumn{
			{Column: calve.Long("rows").Required(), Initial: "0"},
			{Column: calve.Boolean("flag"), Initial: "false"},
			{Column: calve.Int("small"), Initial: "-1"},
			{Column: calve.Long("big")},
			{Column: calve.Float("single"), Initial: "0.5"},
			{Column: calve.Double("double")},
			{Column: calve.Decimal("amount", 20, 2), Initial: `"1.50"`},
			{Column: calve.Date("day")},
			{Column: calve.Timestamp("at")},
			{Column: calve.Timestamptz("at_utc"), Initial: `"2026-01-01T00:00:00Z"`},
			{Column: calve.String("texts"), Initial: `""`},
			{Column: calve.Binary("raw")},
			{Column: calve.String("kept").Required(), Initial: `"as \"it\" was"`},
			{Column: calve.List("list", calve.String("element")), Initial: `["a"]`},
		},
		Output: []calve.Column{
			calve.Long("rows").Required(), calve.Boolean("flag"), calve.Int("small"), calve.Long("big"),
			calve.Float("single"), calve.Double("double"), calve.Decimal("amount", 20, 2), calve.Date("day"),
			calve.Timestamp("at"), calve.Timestamptz("at_utc"), calve.String("texts"), calve.Binary("raw"),
			calve.String("kept").Required(), calve.List("list", calve.String("element")),
			calve.String("key"), calve.Timestamptz("began"), calve.Timestamptz("ended"), calve.Long("events"),
			calve.Boolean("closed"),
		},
		Configure: configure, Accumulate: accumulate, Merge: merge, Finish: finish,
		BatchRowsHint: 65536,
	})
}

func configure(config []byte) error {
	if string(config) == `"refuse"` {
		return errors.New("this config is refused")
	}
	return nil
}

// change copies what is not null in row i of a column to row g of the state, or
// makes that null.
type change struct {
	take   func(i, g int)
	forget func(g int)
}

type reader[T any] interface {
	At(i int) T
	IsNull(i int) bool
}

type setter[T any] interface {
	Set(i int, v T)
	SetNull(i int)
}

func changing[T any](from reader[T], to setter[T]) change {
	return change{
		take: func(i, g int) {
			if !from.IsNull(i) {
				to.Set(g, from.At(i))
			}
		},
		forget: to.SetNull,
	}
}

func changes(from *calve.Batch, state *calve.Output) []change {
	return []change{
		changing(from.Boolean("flag"), state.Boolean("flag")),
		changing(from.Int("small"), state.Int("small")),
		changing(from.Long("big"), state.Long("big")),
		changing(from.Float("single"), state.Float("single")),
		changing(from.Double("double"), state.Double("double")),
		changing(from.Decimal("amount"), state.Decimal("amount")),
		changing(from.Date("day"), state.Date("day")),
		changing(from.Timestamp("at"), state.Timestamp("at")),
		changing(from.Timestamp("at_utc"), state.Timestamp("at_utc")),
	}
}

// check does what the text asks for.
func check(what, text string, i int) error {
	switch text {
	case "trap":
		panic("it traps")
	case "fail":
		return errors.New(what + " " + strconv.Itoa(i) + " fails")
	}
	return nil
}

func accumulate(in *calve.Batch, groups []uint32, before *calve.Batch, after *calve.Output) error {
	all, rows := changes(in, after), after.Long("rows").Values()
	text, raw := in.String("text"), in.Binary("raw")
	oldText, oldRaw := before.String("texts"), before.Binary("raw")
	texts, raws := after.String("texts"), after.Binary("raw")
	i := 0
	for g := range before.Len() {
		last, any := oldRaw.At(g), !oldRaw.IsNull(g)
		texts.Set(g, oldText.At(g))
		for ; i < in.Len() && groups[i] == uint32(g); i++ {
			if err := check("row", text.At(i), i); err != nil {
				return err
			}
			if text.At(i) == "refuse" {
				after.RowError(i, "refused", "text", "this row is refused")
				continue
			}
			rows[g]++
			if text.At(i) == "forget" {
				for _, c := range all {
					c.forget(g)
				}
				continue
			}
			for _, c := range all {
				c.take(i, g)
			}
			texts.Append(text.At(i))
			if !raw.IsNull(i) {
				last, any = raw.At(i), true
			}
		}
		if any {
			raws.Set(g, last)
		}
	}
	return nil
}

func merge(into, from *calve.Batch, after *calve.Output) error {
	all, rows, more := changes(from, after), after.Long("rows").Values(), from.Long("rows").Values()
	texts, raws := after.String("texts"), after.Binary("raw")
	for i := range into.Len() {
		text := from.String("texts").At(i)
		if err := check("pair", text, i); err != nil {
			return err
		}
		if text == "refuse" {
			after.RowError(i, "refused", "texts", "no pair is refused")
		}
		rows[i] += more[i]
		for _, c := range all {
			c.take(i, i)
		}
		texts.Set(i, into.String("texts").At(i))
		texts.Append("+" + text)
		latest := from.Binary("raw")
		if latest.IsNull(i) {
			latest = into.Binary("raw")
		}
		if !latest.IsNull(i) {
			raws.Set(i, latest.At(i))
		}
	}
	return nil
}

func finish(in *calve.Batch, out *calve.Output) error {
	texts := in.String("texts")
	for i := range in.Len() {
		if err := check("session", texts.At(i), i); err != nil {
			return err
		}
		switch texts.At(i) {
		case "refuse":
			out.RowError(i, "refused", "texts", "this session is refused")
		case "drop":
			out.Drop(i)
		}
	}
	for _, name := range []string{
		"rows", "flag", "small", "big", "single", "double", "amount", "day", "at", "at_utc", "texts", "raw", "kept", "list",
	} {
		out.Pass(name, in.Column(name))
	}
	out.Pass("key", in.Column("_key"))
	out.Pass("began", in.Column("_start"))
	out.Pass("ended", in.Column("_end"))
	out.Pass("events", in.Column("_count"))
	out.Pass("closed", in.Column("_closed"))
	return nil
}

func main() {}
