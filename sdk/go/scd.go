package calve

// SCD declares a plugin that decides what becomes of changes to a dimension.
type SCD struct {
	Name    string // required
	Version string // required, as the author counts
	Summary string // one line for a listing

	// Input is the attributes of a change that Decide reads, nil for any.
	Input []Column
	// Output is the attributes to store.
	Output []Column

	ConfigSchema string
	Configure    func(config []byte) error // as that of Plugin

	// Decide sets the action of each change with Output.Action, and the
	// attributes to store. changes has _op (string: c, u, d or r),
	// _effective_at (timestamp) and the attributes; row i of inForce is the
	// version that row i would change, which is there if inForce.Has(i). Rows
	// cannot be dropped: ignore them.
	Decide func(changes, inForce *Batch, out *Output) error

	BatchRowsHint int
}

// Action is what to do with a change.
type Action int8

// Actions. A row without one is ignored.
const (
	Ignore     Action = actionIgnore
	Overwrite  Action = actionOverwrite
	NewVersion Action = actionNewVersion
	Delete     Action = actionDelete
)

// RegisterSCD makes s the module's plugin. Call it once, in an init function.
func RegisterSCD(s SCD) {
	if s.Decide == nil {
		panic(misuse("calve.RegisterSCD: Decide is nil"))
	}
	Register(Plugin{
		Name: s.Name, Version: s.Version, Summary: s.Summary, Input: s.Input, Output: s.Output,
		ConfigSchema: s.ConfigSchema, Configure: s.Configure, BatchRowsHint: s.BatchRowsHint,
		Transform: func(*Batch, *Output) error { return misuse("a plugin of kind scd decides, it does not transform") },
		scd:       &s,
	})
}

// actionColumn is the first column of a decision.
var actionColumn = Column{Name: columnAction, Format: "c", NotNull: true}

// actions is the column _action being made.
type actions struct{ values []int8 }

func (a *actions) reset(rows int) { a.values = resize(a.values[:0], rows) }

func (a *actions) finish(rows int) (*vector, error) {
	a.values = resize(a.values, rows)
	return &vector{length: rows, data: bytesOf(a.values)}, nil
}

// Action sets what to do with change i. Only Decide of an SCD has actions.
func (o *Output) Action(i int, action Action) {
	o.checkRow(i)
	begin(o, columnAction, "c", func() *actions { return &actions{} }).values[i] = int8(action)
}
