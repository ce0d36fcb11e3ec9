package trial

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/calvelake/calve/plugins/wasm"
)

// Explain is what an error of a case says; nothing if the case wants it.
func (c Case) Explain(err error) []Difference {
	if c.Refused == "" || !errors.Is(err, wasm.ErrRefusedConfig) {
		return []Difference{{Row: -1, Message: err.Error()}}
	}
	if !strings.Contains(err.Error(), c.Refused) {
		return []Difference{{Row: -1, Message: fmt.Sprintf("the config is refused with %q, want %q in it", err, c.Refused)}}
	}
	return nil
}

// Compare compares an answer with what the case wants.
func (c Case) Compare(a Answer) []Difference {
	switch {
	case c.Refused != "":
		return []Difference{{Row: -1, Message: fmt.Sprintf("the config is taken, want it refused with %q", c.Refused)}}
	case a.Fate != nil:
		return []Difference{{Row: -1, Message: a.Fate.Error()}}
	}
	all := c.compareErrors(a)
	for _, stream := range slices.Sorted(maps.Keys(c.Streams)) {
		if _, ok := a.tables[partOf(stream)]; !ok && len(c.Streams[stream]) > 0 {
			all = append(all, Difference{Part: partOf(stream), Row: -1, Message: fmt.Sprintf("got nothing, want %d rows", len(c.Streams[stream]))})
		}
	}
	for _, part := range slices.Sorted(maps.Keys(a.tables)) {
		all = append(all, c.comparePart(part, a)...)
	}
	return all
}

func (c Case) comparePart(part string, a Answer) []Difference {
	wanted, ok := c.wanted(part)
	if !ok {
		return nil
	}
	what := part
	if part == partMain {
		what = "output"
	}
	want, err := c.wantedTable(what, part, wanted, a)
	if err != nil {
		return []Difference{{Row: -1, Message: "in the case: " + err.Error()}}
	}
	got := a.tables[part]
	all := compareTables(part, got, want)
	for i := want.rows; i < got.rows; i++ {
		all = append(all, Difference{Part: part, Row: i, Message: fmt.Sprintf("got %s, want no more rows", got.row(i))})
	}
	for i := got.rows; i < want.rows; i++ {
		all = append(all, Difference{Part: part, Row: i, Message: fmt.Sprintf("got no more rows, want %s", want.row(i))})
	}
	return all
}

func (c Case) wantedTable(what, part string, rows []json.RawMessage, a Answer) (table, error) {
	parsed, err := parseRows(what, rows)
	if err != nil {
		return table{}, err
	}
	batch, err := toArrow(a.schemas[part], parsed)
	if err != nil {
		return table{}, fmt.Errorf("%s: %w", what, err)
	}
	defer batch.Release()
	return toTable(batch)
}

// place is what an error is about.
type place struct {
	session bool
	row     uint32
}

func (e RowError) place() place {
	if e.Session != nil {
		return place{true, *e.Session}
	}
	return place{false, *e.Row}
}

func (p place) difference(column, message string) Difference {
	return AnswerError{wasm.RowError{Row: p.row, Column: column}, p.session}.Difference(message)
}

func (c Case) compareErrors(a Answer) []Difference {
	wanted := map[place]RowError{}
	for _, e := range c.Errors {
		wanted[e.place()] = e
	}
	var all []Difference
	for _, got := range a.Errors {
		at := place{got.Session, got.Row}
		want, ok := wanted[at]
		delete(wanted, at)
		message := ""
		switch {
		case !ok:
			message = fmt.Sprintf("got the row error %q: %s; want none", got.Code, got.Message)
		case got.Code != want.Code:
			message = fmt.Sprintf("got the row error %q: %s; want %q", got.Code, got.Message, want.Code)
		case want.Column != "" && got.Column != want.Column:
			message = fmt.Sprintf("got the row error %q of column %q, want it of column %q", got.Code, got.Column, want.Column)
		default:
			continue
		}
		all = append(all, at.difference(got.Column, message))
	}
	for _, e := range c.Errors { // in the order of the case
		if at := e.place(); wanted[at].Code != "" {
			delete(wanted, at)
			all = append(all, at.difference(e.Column, fmt.Sprintf("got no row error, want %q", e.Code)))
		}
	}
	return all
}
