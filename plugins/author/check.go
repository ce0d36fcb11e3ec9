package author

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// CaseResult is what came of a case.
type CaseResult struct {
	Name        string       `json:"name"`
	File        string       `json:"file,omitempty"`
	Rows        int          `json:"rows"` // that went in
	Updated     bool         `json:"updated,omitempty"`
	Differences []Difference `json:"differences,omitempty"` // none: it passed
}

// Difference is a place where a plugin's answer is not what it should be.
type Difference struct {
	Stream  uint32          `json:"stream,omitempty"`
	Row     int             `json:"row"` // of the output, of the input for a row error; -1: none in particular
	Column  string          `json:"column,omitempty"`
	Got     json.RawMessage `json:"got,omitempty"`
	Want    json.RawMessage `json:"want,omitempty"`
	Message string          `json:"message,omitempty"`
}

func (d Difference) String() string {
	var where []string
	if d.Stream != abi.StreamMain {
		where = append(where, fmt.Sprintf("stream %d", d.Stream))
	}
	if d.Row >= 0 {
		where = append(where, fmt.Sprintf("row %d", d.Row))
	}
	if d.Column != "" {
		where = append(where, fmt.Sprintf("column %q", d.Column))
	}
	what := d.Message
	if what == "" {
		what = fmt.Sprintf("got %s, want %s", d.Got, d.Want)
	}
	if len(where) == 0 {
		return what
	}
	return strings.Join(where, ", ") + ": " + what
}

// maxDifferences bounds what is told of one case.
const maxDifferences = 20

// Check runs cases. A case that cannot be run at all is a result too; the error
// is the host's. Each case runs on a fresh instance and again on the same one,
// which must not matter.
func (m *Module) Check(ctx context.Context, cases []Case) ([]CaseResult, error) {
	results := make([]CaseResult, len(cases))
	for i, c := range cases {
		results[i] = CaseResult{Name: c.Name, File: c.File, Rows: len(c.Input)}
		a, err := runCase(ctx, m.plugin, c)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			results[i].Differences = c.explain(err)
		default:
			results[i].Differences = c.compare(a)
		}
		if all := results[i].Differences; len(all) > maxDifferences {
			left := Difference{Row: -1, Message: fmt.Sprintf("and %d more", len(all)-maxDifferences)}
			results[i].Differences = append(all[:maxDifferences:maxDifferences], left)
		}
	}
	return results, nil
}

// Update writes what the plugin answers into the files of cases, as far as it
// is not what they want already.
func (m *Module) Update(ctx context.Context, cases []Case) ([]CaseResult, error) {
	results := make([]CaseResult, len(cases))
	for i, c := range cases {
		results[i] = CaseResult{Name: c.Name, File: c.File, Rows: len(c.Input)}
		a, err := runCase(ctx, m.plugin, c)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			// A refusal and a mistake in the case are an author's to write down.
			results[i].Differences = c.explain(err)
			continue
		}
		if c.wants() && len(c.compare(a)) == 0 {
			continue
		}
		c.take(a)
		text, err := c.text()
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(c.File, text, 0o644); err != nil {
			return nil, fmt.Errorf("write case: %w", err)
		}
		results[i].Updated = true
	}
	return results, nil
}

// take makes an answer what the case wants.
func (c *Case) take(a answer) {
	main := a.tables[abi.StreamMain].all()
	c.Output, c.Streams, c.Errors, c.Refused = &main, nil, nil, ""
	for stream, t := range a.tables {
		if stream == abi.StreamMain {
			continue
		}
		if c.Streams == nil {
			c.Streams = map[uint32][]json.RawMessage{}
		}
		c.Streams[stream] = t.all()
	}
	for _, e := range a.errors {
		c.Errors = append(c.Errors, RowError{Row: e.Row, Code: e.Code, Column: e.Column})
	}
}

// explain is what an error of a case says; nothing if the case wants it.
func (c Case) explain(err error) []Difference {
	if c.Refused == "" || !errors.Is(err, wasm.ErrRefusedConfig) {
		return []Difference{{Row: -1, Message: err.Error()}}
	}
	if !strings.Contains(err.Error(), c.Refused) {
		return []Difference{{Row: -1, Message: fmt.Sprintf("the config is refused with %q, want %q in it", err, c.Refused)}}
	}
	return nil
}

// errUnstable: a plugin answered the same rows in two ways.
var errUnstable = errors.New("the same rows got another answer from an instance that was used before; keep nothing between batches, and do not depend on the order of a map")

func runCase(ctx context.Context, p *wasm.Plugin, c Case) (a answer, err error) {
	batch, err := c.batch(p.Describe())
	if err != nil {
		return answer{}, err
	}
	defer batch.Release()
	t, err := open(ctx, p, c.Config, batch.Schema())
	if err != nil {
		return answer{}, err
	}
	defer func() { err = errors.Join(err, t.Close(ctx)) }()
	if a, err = ask(ctx, t, batch); err != nil {
		return answer{}, err
	}
	again, err := ask(ctx, t, batch)
	if err != nil {
		return answer{}, err
	}
	if d, ok := a.difference(again); !ok {
		return answer{}, fmt.Errorf("%w: %s", errUnstable, d)
	}
	return a, nil
}

func open(ctx context.Context, p *wasm.Plugin, config json.RawMessage, input *arrow.Schema) (*wasm.Transform, error) {
	return p.Open(ctx, wasm.Init{Pipeline: "test", Model: "test", Config: config, Input: input})
}

// batch is the case's input.
func (c Case) batch(d abi.Describe) (arrow.RecordBatch, error) {
	schema, err := inputSchema(d, c)
	if err != nil {
		return nil, err
	}
	rows, err := parseRows("input", c.Input)
	if err != nil {
		return nil, err
	}
	batch, err := toArrow(schema, rows)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	return batch, nil
}

// compare compares an answer with what the case wants.
func (c Case) compare(a answer) []Difference {
	if c.Refused != "" {
		return []Difference{{Row: -1, Message: fmt.Sprintf("the config is taken, want it refused with %q", c.Refused)}}
	}
	if !c.wants() {
		return []Difference{{Row: -1, Message: "the case wants nothing: give it output or errors, or let --update write what the plugin answers"}}
	}
	all := c.compareErrors(a)
	for _, stream := range sortedStreams(c.Streams) {
		if _, ok := a.tables[stream]; !ok && len(c.Streams[stream]) > 0 {
			all = append(all, Difference{Stream: stream, Row: -1, Message: fmt.Sprintf("got nothing, want %d rows", len(c.Streams[stream]))})
		}
	}
	for _, stream := range sortedStreams(a.tables) {
		all = append(all, c.compareStream(stream, a)...)
	}
	return all
}

func (c Case) compareStream(stream uint32, a answer) []Difference {
	what := "output"
	if stream != abi.StreamMain {
		what = fmt.Sprintf("stream %d", stream)
	}
	wrong := func(err error) []Difference {
		return []Difference{{Row: -1, Message: "in the case: " + what + ": " + err.Error()}}
	}
	rows, err := parseRows(what, c.rowsOf(stream))
	if err != nil {
		return wrong(err)
	}
	batch, err := toArrow(a.schemas[stream], rows)
	if err != nil {
		return wrong(err)
	}
	defer batch.Release()
	want, err := toTable(batch)
	if err != nil {
		return wrong(err)
	}
	got := a.tables[stream]
	all := compareTables(stream, got, want)
	for i := want.rows; i < got.rows; i++ {
		all = append(all, Difference{Stream: stream, Row: i, Message: fmt.Sprintf("got %s, want no more rows", got.row(i))})
	}
	for i := got.rows; i < want.rows; i++ {
		all = append(all, Difference{Stream: stream, Row: i, Message: fmt.Sprintf("got no more rows, want %s", want.row(i))})
	}
	return all
}

func (c Case) compareErrors(a answer) []Difference {
	wanted := map[uint32]RowError{}
	for _, e := range c.Errors {
		wanted[e.Row] = e
	}
	var all []Difference
	for _, got := range a.errors {
		want, ok := wanted[got.Row]
		delete(wanted, got.Row)
		here := Difference{Row: int(got.Row), Column: got.Column}
		switch {
		case !ok:
			here.Message = fmt.Sprintf("got the row error %q: %s; want none", got.Code, got.Message)
		case got.Code != want.Code:
			here.Message = fmt.Sprintf("got the row error %q: %s; want %q", got.Code, got.Message, want.Code)
		case want.Column != "" && got.Column != want.Column:
			here.Message = fmt.Sprintf("got the row error %q of column %q, want it of column %q", got.Code, got.Column, want.Column)
		default:
			continue
		}
		all = append(all, here)
	}
	for _, row := range sortedStreams(wanted) {
		all = append(all, Difference{Row: int(row), Column: wanted[row].Column, Message: fmt.Sprintf("got no row error, want %q", wanted[row].Code)})
	}
	return all
}
