// Package fact makes the rows of facts: events, transactions, or the rows of
// another keyed model, each with what left joins to other models give it. Every
// change of a row is one of a changelog.
//
// # Rows
//
// A fact has one row for each value of its grain. It is made of rows of a staging
// model, or of the changes of a keyed one.
//
// Rows of a staging model are ordered by event time, those of a change stream by
// the source's sequence and time, and then by topic, partition, offset and row.
// The newest counts, whatever order they came in: an older one never overwrites
// it, and what was deleted does not come back by an older update. What a change
// of a database does not carry is that of the change before it. With on_update
// append each row of the staging model is a row of the fact, whose surrogate key
// is hashed from its grain and its position.
//
// Of a row of a keyed model the latest change counts. If several of its rows have
// one grain, that with the greatest event time is shown, of those the one with the
// greatest key.
//
// Milestones are filled as they come: each is the first value that is not null, in
// the order of rows, and stays, also over a deletion.
//
// A condition (where) is one on rows as they are: one that no longer meets it is
// deleted, and comes back when it does.
//
// # Left joins
//
// A row stands whether or not there are rows that match it: counts are 0 then, and
// everything else null. It is completed when they come, in whatever order, and
// follows their changes, and those of its own key and range. A null key or bound
// matches nothing.
//
// The rows of a keyed model are kept as long as that model has them. Those of a
// staging model, which are joined within a range of time, are kept for a while. Let
// W be the watermark, the lowest of all inputs that are not silent, the one of the
// last epoch for a whole epoch. A row to be joined at t is late if t + lateness <= W, whatever else
// there is. The range [from, to] of a fact's row stays open until to + lateness <=
// W: nothing that is not late can come into it then, so what was aggregated is
// final. A row to be joined is forgotten when it would be late and no open range
// of its key begins at or before it. So a row of the fact whose range begins
// where rows were forgotten cannot be joined: it is late if from + lateness <= W,
// unless its grain is known and its range does not reach back further than it did.
// Late rows of staging models are refused. Changes of a keyed model cannot be: its
// row is then joined to what is there. Lateness should thus be how late the rows of
// both models may be, and how long a range lasts until its row comes.
//
// # Foreign keys
//
// A foreign key is that of the version of a dimension's member that is in force at
// a time: the event time, or another. It is never null: where a part of the natural
// key or the time is, it is the unknown member's, and a member that is not there is
// inferred by the dimension. A row that the table does not have infers none.
//
// A change of a dimension that comes late moves facts to other versions in the
// epoch that it is taken in (invariant 8). They are found by member and time in an
// index, in which a fact stays until the later of that time and its event time +
// Spec.Rekey <= W; what was appended is kept as long. Where changes of the dimension
// come later than that, a fact may keep a key that has no row any more. Older facts stay as they are,
// unless their row is made anew for another reason: then all is found that is
// known.
//
// The key of a date dimension is its day. A calendar that gets other days moves no
// facts.
//
// # Columns
//
// A row has its surrogate key, grain, event time, foreign keys each with what it
// copies, chosen columns, is_deleted where deletes are soft, and the times of the
// newest record that it was made of, those of dimensions left aside. Chosen are
// columns of the input, of joins, milestones and derived ones, which are made in
// this order, each over those before. Foreign keys are found last, by any of these
// and by what keys before them copied.
package fact
