package calve

import "strings"

// Plugin declares a transform.
type Plugin struct {
	Name    string // required
	Version string // required, as the author counts
	Summary string // one line for a listing

	// Input is the columns that the transform reads, nil for any. The model
	// may hand over more.
	Input []Column

	// Output is the columns that it makes, which must be those of the model.
	Output []Column
	// More is the columns of further streams, 1 and up, for routing.
	More [][]Column
	// Derive computes Output from the input's columns instead. It is called
	// once, after Configure; an error refuses the model.
	Derive func(input []Column) ([]Column, error)

	// ConfigSchema is a JSON Schema of the plugin's config, "" for none.
	ConfigSchema string
	// Configure is called once, before the first batch, with the config of the
	// model as JSON ("null" if there is none). An error refuses it, with its
	// text. What it sets must not change afterwards.
	Configure func(config []byte) error

	// Transform makes the outputs of a batch. An error or a panic fails the
	// batch: the host then tries its rows in smaller batches, to find those
	// that are at fault. Use Output.RowError for rows known to be.
	Transform func(in *Batch, out *Output) error

	// BatchRowsHint is the number of rows that suits it, 0 for no opinion.
	BatchRowsHint int

	session *Session // not nil: of kind session, and Transform is its Finish
	scd     *SCD     // not nil: of kind scd
}

// registered is set once, by the plugin's init function.
var registered *Plugin

// Register makes p the module's plugin. Call it once, in an init function.
func Register(p Plugin) {
	if registered != nil {
		panic(misuse("calve.Register is called twice: a module holds one plugin"))
	}
	if p.Transform == nil {
		panic(misuse("calve.Register: Transform is nil"))
	}
	registered = &p
}

// describe writes the JSON of calve_describe.
func (p *Plugin) describe() string {
	var b strings.Builder
	b.WriteString(`{"abi":` + itoa(version) + `,"name":` + quoteJSON(p.Name) + `,"version":` + quoteJSON(p.Version))
	b.WriteString(`,"kind":"` + p.kind() + `","input":`)
	if p.Input == nil {
		b.WriteString(`"any"`)
	} else {
		writeColumns(&b, p.Input)
	}
	b.WriteString(`,"outputs":[`)
	p.describeOutputs(&b)
	b.WriteByte(']')
	if p.session != nil {
		writeState(&b, p.session.State)
	}
	if p.Summary != "" {
		b.WriteString(`,"summary":` + quoteJSON(p.Summary))
	}
	if p.ConfigSchema != "" {
		b.WriteString(`,"config_schema":` + p.ConfigSchema)
	}
	if p.BatchRowsHint > 0 {
		b.WriteString(`,"batch_rows_hint":` + itoa(int64(p.BatchRowsHint)))
	}
	b.WriteByte('}')
	return b.String()
}

func (p *Plugin) kind() string {
	switch {
	case p.session != nil:
		return kindSession
	case p.scd != nil:
		return kindSCD
	}
	return kindTransform
}

func writeState(b *strings.Builder, state []StateColumn) {
	b.WriteString(`,"state":[`)
	for i, c := range state {
		if i > 0 {
			b.WriteByte(',')
		}
		writeColumn(b, c.Column)
		if c.Initial != "" {
			b.WriteString(`,"initial":` + c.Initial)
		}
		b.WriteByte('}')
	}
	b.WriteByte(']')
}

func (p *Plugin) describeOutputs(b *strings.Builder) {
	b.WriteString(`{"stream":` + itoa(streamMain) + `,"columns":`)
	if p.Derive != nil {
		b.WriteString(`"derived"`)
	} else {
		writeColumns(b, p.Output)
	}
	b.WriteByte('}')
	for i, columns := range p.More {
		b.WriteString(`,{"stream":` + itoa(int64(i)+1) + `,"columns":`)
		writeColumns(b, columns)
		b.WriteByte('}')
	}
}

func writeColumns(b *strings.Builder, columns []Column) {
	b.WriteByte('[')
	for i, c := range columns {
		if i > 0 {
			b.WriteByte(',')
		}
		writeColumn(b, c)
		b.WriteByte('}')
	}
	b.WriteByte(']')
}

// writeColumn writes a column but for its closing brace.
func writeColumn(b *strings.Builder, c Column) {
	b.WriteString(`{"name":` + quoteJSON(c.Name) + `,"format":` + quoteJSON(c.Format))
	if c.NotNull {
		b.WriteString(`,"nullable":false`)
	}
	if len(c.Children) > 0 {
		b.WriteString(`,"children":`)
		writeColumns(b, c.Children)
	}
}

// setUp configures the plugin and returns the columns of each stream.
func (p *Plugin) setUp(config []byte, input []Column) ([][]Column, error) {
	if p.Configure != nil {
		if err := p.Configure(config); err != nil {
			return nil, err
		}
	}
	output := p.Output
	if p.Derive != nil {
		derived, err := p.Derive(input)
		if err != nil {
			return nil, err
		}
		output = derived
	}
	if p.scd != nil {
		output = append([]Column{actionColumn}, output...)
	}
	return append([][]Column{output}, p.More...), nil
}
