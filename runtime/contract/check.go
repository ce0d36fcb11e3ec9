package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Finding is a row that fails a test.
type Finding struct {
	Test    string // its name
	Column  string // the tested one, "" if none in particular
	Row     int    // of the batch
	Message string // for a person: the value, and what was expected
}

// Count is how many rows fail a test of severity warn.
type Count struct {
	Rows  int64
	First Finding
}

// Outcome is what the tests say of a batch.
type Outcome struct {
	// Refused rows fail a test of severity quarantine; each is there once, for
	// the first such test, in order of rows.
	Refused []Finding
	// Failed holds the first row that fails a test of severity error, for each
	// such test.
	Failed []Finding
	// Warned counts the rows that fail a test of severity warn, for each such
	// test.
	Warned []Count
}

// Check tests the rows of a batch. Rows that a quarantine refuses are not
// spared by the other tests. The error is that the batch does not fit the
// schema.
func (c *Contract) Check(batch arrow.RecordBatch, mem memory.Allocator) (Outcome, error) {
	var out Outcome
	refused := map[int]int{} // row → place in out.Refused
	for i := range c.checks {
		rows, err := c.checks[i].against(batch, mem)
		if err != nil {
			return Outcome{}, err
		}
		if len(rows) == 0 {
			continue
		}
		switch c.checks[i].severity {
		case Warn:
			out.Warned = append(out.Warned, Count{Rows: int64(len(rows)), First: c.checks[i].finding(batch, rows[0])})
		case Error:
			out.Failed = append(out.Failed, c.checks[i].finding(batch, rows[0]))
		case Quarantine:
			for _, row := range rows {
				if at, twice := refused[row.number]; twice {
					out.Refused[at].Message += "; " + c.checks[i].name + " fails too"
					continue
				}
				refused[row.number] = len(out.Refused)
				out.Refused = append(out.Refused, c.checks[i].finding(batch, row))
			}
		}
	}
	slices.SortFunc(out.Refused, func(a, b Finding) int { return a.Row - b.Row })
	return out, nil
}

// failing is a row against a test; why is set if the test could not be
// computed.
type failing struct {
	number int
	why    string
}

// against finds the rows that fail. A row for which the test cannot be
// computed fails it: it is not known to be right.
func (c *check) against(batch arrow.RecordBatch, mem memory.Allocator) ([]failing, error) {
	result, errs, err := c.condition.Eval(batch, mem)
	if err != nil {
		return nil, fmt.Errorf("data test %s: %w", c.name, err)
	}
	defer result.Release()
	holds := result.(*array.Boolean)
	var rows []failing
	for i := range holds.Len() {
		switch {
		case len(errs) > 0 && errs[0].Row == i:
			rows = append(rows, failing{i, errs[0].Message})
			errs = errs[1:]
		case holds.IsValid(i) && !holds.Value(i):
			rows = append(rows, failing{number: i})
		}
	}
	return rows, nil
}

func (c *check) finding(batch arrow.RecordBatch, row failing) Finding {
	f := Finding{Test: c.name, Column: c.column, Row: row.number}
	values := c.values(batch, row.number)
	switch {
	case row.why != "":
		f.Message = fmt.Sprintf("data test %s cannot be computed: %s (%s)", c.name, row.why, values)
	case c.column == "":
		f.Message = fmt.Sprintf("data test %s: %s is not true: %s", c.name, c.condition, values)
	default:
		f.Message = fmt.Sprintf("data test %s: %s, expected %s", c.name, values, c.wanted)
	}
	return f
}

// values shows what the test saw of a row.
func (c *check) values(batch arrow.RecordBatch, row int) string {
	var parts []string
	for _, name := range c.condition.Columns() {
		at := batch.Schema().FieldIndices(name)
		parts = append(parts, name+" = "+show(batch.Column(at[0]), row))
	}
	if len(parts) == 0 {
		return "it reads no column"
	}
	return strings.Join(parts, ", ")
}

// show is a value in a message, of a length that a message bears.
func show(a arrow.Array, row int) string {
	const most = 100
	if a.IsNull(row) {
		return "null"
	}
	text := a.ValueStr(row)
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	if _, ok := a.(*array.String); ok {
		return strconv.Quote(text)
	}
	return text
}
