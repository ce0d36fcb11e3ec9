// Package session groups the events of a key into sessions while they stream:
// events that are late extend, bridge and amend sessions, and every change is
// one of a changelog.
//
// # Sessions
//
// A session is the events of one key without a pause longer than the gap, by
// event time. A pause of exactly the gap still joins. An explicit session id in
// the key follows the same rule, its time-out being the gap: an id that is used
// again after the time-out is another session.
//
// # What is late
//
// Let W be the watermark, the one of the last epoch for a whole epoch. An event
// at t is late if t + gap + lateness <= W, whatever sessions there are: so what
// is late does not depend on what came before.
//
// An event at t can touch sessions that end at t - gap or later. If it is not
// late, t > W - gap - lateness, and those end after W - 2*gap - lateness.
// A session may thus be forgotten once end + 2*gap + lateness <= W. A session
// that reaches back by a late event does not reach one that was forgotten
// either: its start is then the time of that event. A session is closed when
// end + gap <= W; until it is forgotten, events may amend it, and open it again.
//
// # Rows and keys
//
// A session's row comes with its first event (emit early), or when it closes
// (on close). From then on the table has the row of the session as it is at
// the end of each epoch, whether it is closed or was opened again. When two
// sessions become one by an event between them, the earlier goes on.
//
// The surrogate key is the hash of the key and the session's start when its row
// was first emitted, and never changes: a start that moves later leaves it.
// Of two sessions that become one the key of the earlier stays if it was
// emitted, else that of the later if that one was. So an emitted key is deleted
// only when both were emitted: then the later's row goes. No two sessions have
// one key, since a session keeps the event at the time that is in its key.
//
// Sessions can be made anew, from no state, while the table has the rows from
// before (Operator.Keep): those that have the event at the time in the key of one of
// these rows get that key, of several the earliest row's. Until their rows are shown
// a session's key may change, so that the keys do not depend on the order in which
// events are taken again.
//
// A session whose row cannot be computed (a division by zero in an expression,
// a sum that does not fit, a plugin that refuses it) has no row. If it had one,
// it is deleted, and comes back with its key once it can be computed. So the
// table is a function of the events alone, whatever order they came in, but for
// the start that a key was made of.
//
// # Plugins
//
// A plugin accumulates the rows of a call of Take, sorted by event time and
// position. How many calls there are depends on how the input is cut: a plugin
// whose result depends on the order of rows across calls gives results that do
// so too. Rows that it refuses are rejects, and the sessions are as if they had
// never been; if it cannot merge two sessions, the rows that bridge them are.
package session
