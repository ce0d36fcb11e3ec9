package project

import "time"

// Emit is when a session's row is written.
type Emit string

const (
	EmitOnClose Emit = "on_close" // once the session has ended
	EmitEarly   Emit = "early"    // with its first event, and updated
)

// Session is the part of a model of kind session. Exactly one of Gap and
// Timeout is more than zero.
type Session struct {
	Key        []string      // of a session, without its start if Gap is set
	Gap        time.Duration // of inactivity that ends a session
	Timeout    time.Duration // after which a session of an explicit id is closed
	Emit       Emit
	Aggregates Expressions
}

const (
	columnSessionStart = "session_start"
	columnSessionEnd   = "session_end"
)

var sessionShape = object[Model]{
	name:  "session model",
	doc:   "One row per session of events, by an inactivity gap or an explicit session id.",
	start: func(m *Model) { m.Session = &Session{} },
	fields: modelFields([]field[Model]{
		fromModel(),
		materializedField,
		key("key", names(1), func(m *Model) *[]string { return &m.Session.Key }, "The columns whose events belong together.").must(),
		key("gap", positiveDuration, func(m *Model) *time.Duration { return &m.Session.Gap }, "A session ends after so long without an event."),
		key("session_timeout", positiveDuration, func(m *Model) *time.Duration { return &m.Session.Timeout }, "With an explicit session id in key: a session is closed after so long without an event."),
		eventTime("The column by which time passes; that of the model it reads by default."),
		lateness("0s"),
		key("emit", oneOf(EmitOnClose, EmitEarly), func(m *Model) *Emit { return &m.Session.Emit }, "When a session's row is written: once it has ended, or early with updates.").or(string(EmitOnClose)),
		surrogateKey().or("session_key"),
		key("aggregates", expressionsShape, func(m *Model) *Expressions { return &m.Session.Aggregates }, "Columns aggregated over the session's events, as in page_views: count()."),
		plugin(pluginShape("session plugin", pluginAddsTyped.must())),
		selectedColumns("Which aggregates, derived and added columns the table has, in this order; all by default. Key, session_start and session_end are always there."),
	}, tableFields),
	check: func(r reader, m *Model) {
		switch s := m.Session; {
		case s.Gap > 0 && s.Timeout > 0:
			r.failAt("session_timeout", "gap and session_timeout exclude each other", "gap finds sessions by inactivity, session_timeout closes those of an explicit id in key")
		case s.Gap == 0 && s.Timeout == 0:
			r.failHere("a session needs gap or session_timeout", "gap finds sessions by inactivity, session_timeout closes those of an explicit id in key")
		}
	},
}

// sessionColumns gives the columns of a session's table.
func (c *checker) sessionColumns(m *Model, in *columnSet) *columnSet {
	out := newColumnSet()
	out.open = in.open
	c.make(out, "surrogate_key", m.SurrogateKey, typeString)
	for i, name := range m.Session.Key {
		c.take(out, in, indexed("key", i), name)
	}
	c.checkKeyTypes("key", m.Session.Key, in)
	c.make(out, "kind", columnSessionStart, typeTimestamptz)
	c.make(out, "kind", columnSessionEnd, typeTimestamptz)
	made := newColumnSet()
	made.open = in.open
	c.makeAll(made, out, "aggregates", m.Session.Aggregates)
	c.makeAdds(made, out)
	c.makeAll(made, out, "derive", m.Derive)
	c.choose(out, made)
	return out
}
