package calve

// Output takes what a transform makes of a batch, for one stream.
//
// As a rule an output has a row for each row of the input, at the same place:
// rows not set are null, and rows dropped or reported as errors are left out.
// Where one input row makes several rows, call OwnRows first, begin each output
// row with AddRow, and set its number.
type Output struct {
	stream    uint32
	columns   []Column
	builders  []builder // made once, used again for each batch
	current   []builder // what this batch has set; nil: not set
	input     int       // rows of the batch
	selection bitmap    // nil: all rows
	selBuffer bitmap
	rows      []int32 // the input row of each output row
	own       bool    // rows are those of AddRow
	used      bool
	shared    *outputs
	errorRows int      // rows that RowError may be about
	unset     []vector // what columns that are not set are; nil: they must be set
}

// outputs is what the streams of one batch share.
type outputs struct {
	streams []*Output
	errors  rowErrors
}

// builder is one column being made.
type builder interface {
	reset(rows int)
	finish(rows int) (*vector, error)
}

func newOutputs(streams [][]Column) *outputs {
	s := &outputs{}
	for i, columns := range streams {
		s.streams = append(s.streams, &Output{
			stream: uint32(i), columns: columns, shared: s,
			builders: make([]builder, len(columns)), current: make([]builder, len(columns)),
		})
	}
	return s
}

// begin prepares for a batch of that many rows.
func (s *outputs) begin(rows int) {
	s.errors.reset()
	for _, o := range s.streams {
		o.input, o.selection, o.rows, o.own, o.used = rows, nil, o.rows[:0], false, false
		o.errorRows, o.unset = rows, nil
		clear(o.current)
	}
}

// Stream is the output of another stream of a plugin that declares several.
// Stream(0) is the output itself. A stream other than 0 that is not touched is
// empty for this batch.
func (o *Output) Stream(stream int) *Output {
	if stream < 0 || stream >= len(o.shared.streams) {
		panic(misuse("the plugin declares no output stream " + itoa(int64(stream))))
	}
	return o.shared.streams[stream]
}

// Boolean begins a boolean column.
func (o *Output) Boolean(name string) *BooleanBuilder {
	return begin(o, name, "b", func() *BooleanBuilder { return &BooleanBuilder{} })
}

// Int begins an int column.
func (o *Output) Int(name string) *NumberBuilder[int32] { return beginNumbers[int32](o, name, "i") }

// Long begins a long column.
func (o *Output) Long(name string) *NumberBuilder[int64] { return beginNumbers[int64](o, name, "l") }

// Float begins a float column.
func (o *Output) Float(name string) *NumberBuilder[float32] {
	return beginNumbers[float32](o, name, "f")
}

// Double begins a double column.
func (o *Output) Double(name string) *NumberBuilder[float64] {
	return beginNumbers[float64](o, name, "g")
}

// Date begins a date column, in days since 1970-01-01.
func (o *Output) Date(name string) *NumberBuilder[int32] { return beginNumbers[int32](o, name, "tdD") }

// Timestamp begins a timestamp or timestamptz column, in microseconds since
// 1970-01-01 (UTC for timestamptz).
func (o *Output) Timestamp(name string) *NumberBuilder[int64] {
	return beginNumbers[int64](o, name, "tsu:")
}

// Decimal begins a decimal column.
func (o *Output) Decimal(name string) *DecimalBuilder {
	return begin(o, name, "d:", func() *DecimalBuilder { return &DecimalBuilder{} })
}

// String begins a string column.
func (o *Output) String(name string) *StringBuilder {
	return begin(o, name, "u", func() *StringBuilder { return &StringBuilder{} })
}

// Binary begins a binary column.
func (o *Output) Binary(name string) *BinaryBuilder {
	return begin(o, name, "z", func() *BinaryBuilder { return &BinaryBuilder{} })
}

// Pass makes an input column an output column, without copying it.
func (o *Output) Pass(name string, column Values) {
	i := o.index(name, column.vector.column.Format)
	o.current[i] = &passed{column.vector}
}

// Drop leaves row i out: a filtered row.
func (o *Output) Drop(i int) {
	o.used = true
	o.checkRow(i)
	if o.selection == nil {
		o.selBuffer = o.selBuffer.resize(0).resize(o.input)
		o.selBuffer.setAll(o.input)
		o.selection = o.selBuffer
	}
	o.selection.clear(i)
}

// Where keeps the rows for which keep is true, of those that are not dropped.
func (o *Output) Where(keep func(i int) bool) {
	for i := range o.input {
		if !keep(i) {
			o.Drop(i)
		}
	}
}

// RowError reports that input row i cannot be used: it is left out of every
// output and becomes a dead letter with its original bytes. code is the reason
// to count by (lower case, digits and underscores), column the input column at
// fault ("" if none in particular), message is for a person. The first error of
// a row counts.
func (o *Output) RowError(i int, code, column, message string) {
	if i < 0 || i >= o.errorRows {
		panic(misuse("row " + itoa(int64(i)) + " is outside the batch of " + itoa(int64(o.errorRows)) + " rows"))
	}
	o.shared.errors.add(uint32(i), code, column, message)
}

// OwnRows says that the output's rows are those of AddRow, none before the
// first. Columns cannot be passed through then, nor rows dropped.
func (o *Output) OwnRows() { o.used, o.own = true, true }

// AddRow begins an output row made of input row i and returns its number, which
// is what the columns' Set takes. Input rows must come in order.
func (o *Output) AddRow(i int) int {
	o.checkRow(i)
	if !o.own {
		panic(misuse("AddRow without OwnRows: call OwnRows before anything else of the output"))
	}
	if n := len(o.rows); n > 0 && o.rows[n-1] > int32(i) {
		panic(misuse("AddRow(" + itoa(int64(i)) + ") after row " + itoa(int64(o.rows[n-1])) + ": add rows in the order of the input"))
	}
	o.rows = append(o.rows, int32(i))
	return len(o.rows) - 1
}

// len is the number of rows of the output.
func (o *Output) len() int {
	if o.own {
		return len(o.rows)
	}
	return o.input
}

func (o *Output) checkRow(i int) {
	if i < 0 || i >= o.input {
		panic(misuse("row " + itoa(int64(i)) + " is outside the batch of " + itoa(int64(o.input)) + " rows"))
	}
}

// index finds a declared column and checks its type by the beginning of its
// format.
func (o *Output) index(name, format string) int {
	o.used = true
	for i, c := range o.columns {
		if c.Name != name {
			continue
		}
		if len(c.Format) < len(format) || c.Format[:len(format)] != format {
			panic(misuse("output column " + quoteJSON(name) + " is declared with format " + quoteJSON(c.Format) + ", not " + quoteJSON(format)))
		}
		return i
	}
	panic(misuse("output column " + quoteJSON(name) + " is not declared"))
}

// begin returns the column's builder of type B, made once and used again for
// each batch.
func begin[B builder](o *Output, name, format string, make func() B) B {
	i := o.index(name, format)
	if b, ok := o.current[i].(B); ok {
		return b
	}
	b, ok := o.builders[i].(B)
	if !ok {
		b = make()
		o.builders[i] = b
	}
	if s, ok := any(b).(starter); ok && o.unset != nil {
		s.start(&o.unset[i])
	} else {
		b.reset(o.input)
	}
	o.current[i] = b
	return b
}

func beginNumbers[T Number](o *Output, name, format string) *NumberBuilder[T] {
	return begin(o, name, format, func() *NumberBuilder[T] { return &NumberBuilder[T]{} })
}

// finish completes the columns of the output, in declared order.
func (o *Output) finish() ([]*vector, error) {
	if o.own && o.selection != nil {
		return nil, misuse("an output with rows of its own cannot drop rows: do not add them")
	}
	vectors := make([]*vector, len(o.columns))
	for i, b := range o.current {
		if b == nil && o.columns[i].Name == columnAction {
			b = begin(o, columnAction, "c", func() *actions { return &actions{} })
		}
		if b == nil && o.unset != nil {
			b = &passed{&o.unset[i]}
		}
		if b == nil {
			return nil, misuse("output column " + quoteJSON(o.columns[i].Name) + " was not set")
		}
		v, err := b.finish(o.len())
		if err != nil {
			return nil, misuse("output column " + quoteJSON(o.columns[i].Name) + ": " + err.Error())
		}
		if v.source != 0 && o.own {
			return nil, misuse("output column " + quoteJSON(o.columns[i].Name) + ": a column cannot be passed through to an output with rows of its own")
		}
		v.column = o.columns[i]
		vectors[i] = v
	}
	return vectors, nil
}

// passed is an input column in the place of an output column.
type passed struct{ vector *vector }

func (p *passed) reset(int) {}

func (p *passed) finish(int) (*vector, error) {
	v := *p.vector
	return &v, nil
}
