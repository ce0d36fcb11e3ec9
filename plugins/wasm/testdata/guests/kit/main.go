// Command kit is the plugin of the host's tests: its config chooses what it
// does.
package main

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	calve "github.com/calvelake/calve/sdk/go"
)

var config struct {
	Mode string `json:"mode"`
	Text string `json:"text"`
}

func init() {
	calve.Register(calve.Plugin{
		Name: "kit", Version: "1.2.3", Summary: `says "what it does"`,
		ConfigSchema: `{"type":"object"}`,
		Configure:    configure,
		Derive:       derive,
		More:         [][]calve.Column{{calve.Long("id"), calve.String("why")}},
		Transform:    func(in *calve.Batch, out *calve.Output) error { return modes[config.Mode](in, out) },

		BatchRowsHint: 4096,
	})
}

func configure(raw []byte) error {
	if err := json.Unmarshal(raw, &config); err != nil {
		return err
	}
	if modes[config.Mode] == nil {
		return errors.New("mode " + strconv.Quote(config.Mode) + " is unknown")
	}
	return nil
}

// derive: what comes in goes out, but for the modes that make other columns.
func derive(input []calve.Column) ([]calve.Column, error) {
	for _, c := range input {
		names = append(names, c.Name)
	}
	switch config.Mode {
	case "explode":
		return []calve.Column{calve.Long("id").Required(), calve.String("word").Required()}, nil
	case "environment":
		return []calve.Column{calve.String("seen")}, nil
	case "positions":
		return []calve.Column{calve.String("topic"), calve.Int("partition"), calve.Long("offset"), calve.Timestamptz("at")}, nil
	}
	return input, nil
}

var modes = map[string]func(in *calve.Batch, out *calve.Output) error{
	"pass":        pass,
	"copy":        copyAll,
	"even":        even,
	"errors":      rowErrors,
	"poison":      poison,
	"explode":     explode,
	"route":       route,
	"log":         logs,
	"environment": environment,
	"positions":   positions,
	"garbage":     garbage,
	"hungry":      hungry,
	"required":    required,
}

// names is the columns of the input.
var names []string

func pass(in *calve.Batch, out *calve.Output) error {
	for _, name := range names {
		out.Pass(name, in.Column(name))
	}
	return nil
}

// copyAll rebuilds every scalar column row by row.
func copyAll(in *calve.Batch, out *calve.Output) error {
	for _, name := range []string{"list", "nested", "pairs"} {
		out.Pass(name, in.Column(name))
	}
	flag, small, big := in.Boolean("flag"), in.Int("small"), in.Long("big")
	single, double, amount := in.Float("single"), in.Double("double"), in.Decimal("amount")
	text, raw := in.String("text"), in.Binary("raw")
	day, at, utc := in.Date("day"), in.Timestamp("at"), in.Timestamp("at_utc")
	oFlag, oSmall, oBig := out.Boolean("flag"), out.Int("small"), out.Long("big")
	oSingle, oDouble, oAmount := out.Float("single"), out.Double("double"), out.Decimal("amount")
	oText, oRaw := out.String("text"), out.Binary("raw")
	oDay, oAt, oUTC := out.Date("day"), out.Timestamp("at"), out.Timestamp("at_utc")
	for i := range in.Len() {
		if !flag.IsNull(i) {
			oFlag.Set(i, flag.At(i))
		}
		if !small.IsNull(i) {
			oSmall.Set(i, small.At(i))
		}
		if !big.IsNull(i) {
			oBig.Set(i, big.At(i))
		}
		if !single.IsNull(i) {
			oSingle.Set(i, single.At(i))
		}
		if !double.IsNull(i) {
			oDouble.Set(i, double.At(i))
		}
		if !amount.IsNull(i) {
			oAmount.Set(i, amount.At(i))
		}
		if !text.IsNull(i) {
			oText.Set(i, text.At(i))
		}
		if !raw.IsNull(i) {
			oRaw.Set(i, raw.At(i))
		}
		if !day.IsNull(i) {
			oDay.Set(i, day.At(i))
		}
		if !at.IsNull(i) {
			oAt.Set(i, at.At(i))
		}
		if !utc.IsNull(i) {
			oUTC.Set(i, utc.At(i))
		}
	}
	return nil
}

func even(in *calve.Batch, out *calve.Output) error {
	id := in.Long("id").Values()
	out.Where(func(i int) bool { return id[i]%2 == 0 })
	return pass(in, out)
}

// rowErrors refuses ids divisible by 3 and drops those divisible by 5.
func rowErrors(in *calve.Batch, out *calve.Output) error {
	id := in.Long("id")
	for i := range in.Len() {
		switch {
		case id.At(i)%3 == 0:
			out.RowError(i, "by_three", "id", "id "+strconv.FormatInt(id.At(i), 10)+" is divisible by 3")
			out.RowError(i, "again", "", "the first error of a row counts")
		case id.At(i)%5 == 0:
			out.Drop(i)
		}
	}
	return pass(in, out)
}

// poison fails in the way that a row's text names.
func poison(in *calve.Batch, out *calve.Output) error {
	text := in.String("text")
	for i := range in.Len() {
		switch text.At(i) {
		case "panic":
			panic("row is poison")
		case "error":
			return errors.New("row is an error")
		case "exit":
			println("leaving")
			os.Exit(7)
		case "spin":
			for {
			}
		case "deadlock":
			select {}
		case "index":
			var none []int
			_ = none[i]
		}
	}
	calve.Count("batches", 1)
	calve.Count("rows", int64(in.Len()))
	return pass(in, out)
}

// explode makes a row of every word of text.
func explode(in *calve.Batch, out *calve.Output) error {
	out.OwnRows()
	id, word := out.Long("id"), out.String("word")
	for i := range in.Len() {
		for w := range strings.FieldsSeq(in.String("text").At(i)) {
			row := out.AddRow(i)
			id.Set(row, in.Long("id").At(i))
			word.Set(row, w)
		}
	}
	return nil
}

// route sends negative ids to stream 1.
func route(in *calve.Batch, out *calve.Output) error {
	id := in.Long("id").Values()
	out.Where(func(i int) bool { return id[i] >= 0 })
	for i, v := range id {
		if v < 0 {
			other := out.Stream(1)
			if i == firstNegative(id) {
				other.OwnRows()
			}
			row := other.AddRow(i)
			other.Long("id").Set(row, v)
			other.String("why").Set(row, "negative")
		}
	}
	return pass(in, out)
}

func firstNegative(id []int64) int {
	for i, v := range id {
		if v < 0 {
			return i
		}
	}
	return -1
}

func logs(in *calve.Batch, out *calve.Output) error {
	calve.Log(calve.Info, "an info line: "+config.Text)
	calve.Log(calve.Debug, "a debug line")
	println("to standard error")
	calve.Observe("rows", float64(in.Len()))
	return pass(in, out)
}

// environment reports what the guest can see of the world.
func environment(in *calve.Batch, out *calve.Output) error {
	time.Sleep(time.Hour)
	_, err := os.ReadFile("/etc/passwd")
	seen := strings.Join([]string{
		time.Now().UTC().Format(time.RFC3339), strconv.Itoa(len(os.Args)), strconv.Itoa(len(os.Environ())), err.Error(),
	}, " ")
	c := out.String("seen")
	for i := range in.Len() {
		c.Set(i, seen)
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

// garbage allocates and forgets, so that only a collection keeps memory low.
func garbage(in *calve.Batch, out *calve.Output) error {
	for range 64 {
		keep = make([]byte, 64<<10)
		keep = nil
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	calve.Observe("sys", float64(m.Sys))
	return pass(in, out)
}

var keep []byte

// hungry wants more memory than any limit.
func hungry(in *calve.Batch, out *calve.Output) error {
	var all [][]byte
	for {
		all = append(all, make([]byte, 1<<20))
		if len(all) < 0 {
			return nil
		}
	}
}

// required leaves rows of a column unset.
func required(in *calve.Batch, out *calve.Output) error {
	id := out.Long("id")
	for i := range in.Len() {
		if i%2 == 0 {
			id.Set(i, int64(i))
		} else if config.Text == "drop" {
			out.Drop(i)
		}
	}
	return nil
}

func main() {}
