package calve

// Session declares a plugin that sums up sessions. The host owns the keys, the
// gaps and the state of every session: the functions here get state as rows and
// return it as rows, and keep nothing between calls.
type Session struct {
	Name    string // required
	Version string // required, as the author counts
	Summary string // one line for a listing

	// Input is the columns that Accumulate reads, nil for any.
	Input []Column
	// State is the columns of a session's state. A new session begins with
	// their initial values.
	State []StateColumn
	// Output is the columns that Finish makes.
	Output []Column

	ConfigSchema string
	Configure    func(config []byte) error // as that of Plugin

	// Accumulate adds rows to the state of their groups. groups[i] is the row
	// of before and after that row i belongs to; rows are sorted by group and
	// event time. A state column that after does not begin is as before. One of
	// numbers, dates, times, decimals or booleans that it begins starts as it
	// was, in the same memory: before reads what after has set. One of strings
	// or bytes is new, and every row of it is to be set.
	Accumulate func(in *Batch, groups []uint32, before *Batch, after *Output) error
	// Merge joins sessions that became one, row by row; into is the earlier.
	// State columns of after start as those of into, as for Accumulate.
	Merge func(into, from *Batch, after *Output) error
	// Finish makes rows of sessions: their state and _key, _start, _end
	// (timestamps), _count (long) and _closed (boolean).
	Finish func(in *Batch, out *Output) error

	BatchRowsHint int
}

// StateColumn is a column of state and its initial value as JSON, "" for null.
type StateColumn struct {
	Column
	Initial string
}

// RegisterSession makes s the module's plugin. Call it once, in an init
// function.
func RegisterSession(s Session) {
	if s.Accumulate == nil || s.Merge == nil || s.Finish == nil || len(s.State) == 0 {
		panic(misuse("calve.RegisterSession: Accumulate, Merge, Finish and State are all needed"))
	}
	Register(Plugin{
		Name: s.Name, Version: s.Version, Summary: s.Summary, Input: s.Input, Output: s.Output,
		ConfigSchema: s.ConfigSchema, Configure: s.Configure, BatchRowsHint: s.BatchRowsHint,
		Transform: s.Finish, session: &s,
	})
}

// stateOutput is where Accumulate and Merge set state; what they do not set is
// that of before.
func (s *Session) stateOutput() *outputs {
	columns := make([]Column, len(s.State))
	for i, c := range s.State {
		columns[i] = c.Column
	}
	return newOutputs([][]Column{columns})
}

// starter is a builder that can begin with a column as it is, in its memory.
type starter interface{ start(v *vector) }

// keepState lets columns that are not set be those of before, and row errors be
// about that many rows.
func (s *outputs) keepState(before *Batch, rows int) {
	o := s.streams[streamMain]
	o.unset, o.errorRows = before.columns, rows
}
