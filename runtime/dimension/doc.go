// Package dimension makes the rows of dimensions: members with stable keys,
// versioned by slowly changing columns of types 0, 1 and 2 (Kimball), whatever
// order their changes come in.
//
// # Changes
//
// A member is what has a natural key. Its changes are rows of a staging model,
// changes of a database (Debezium) or plain upserts, or those of a keyed model,
// which makes the dimension what dbt calls a snapshot. Their order is: when they
// took effect; the source's sequence; topic, partition, offset and row; for a keyed
// model, which of whose changes of one time the one told last counts. What comes in
// another order gives the same rows.
//
// A deletion took effect when it was made (source_ts, or else the record's time),
// but not before the time that its row has: that row is the one before. So do
// changes of a database without an EffectiveAt. A row that does not meet the
// condition (Where) is the deletion of its member, and took effect when it says. The
// deletion of a member that is not there does nothing. Columns that a change of a
// database does not carry are those of the change before, also where derived columns
// and the condition read them; what cannot be computed then is null.
//
// # Versions
//
// Of changes that took effect at one time the last one counts, and they make one
// version at most. An attribute of type 0 has the value of the first change that
// carries it, also over deletions. One of type 1 has the newest value: in all
// versions, or (Type1Current) in the current one, so that a version that has ended
// shows what it had last. Where one of type 2 differs, null being a value, from
// the version before, a version starts, and that before ends. So it is after a
// deletion. A deletion starts a version that says so and has the attributes of the
// one before (HardDeletesNewRecord), or ends the version in force, which leaves a
// gap (HardDeletesInvalidate). A dimension without attributes of type 2 has one row
// a member, of which deletion and return are told in place, and its surrogate key is
// hashed from the natural key alone.
//
// Versions are half-open, and partition time but for gaps (invariant 9). The first
// starts at Beginning or when it took effect, others when they took effect; times
// before Beginning count as that, and none is behind Forever, where the current one
// ends. changed_at is the time as it was given. The times of the newest record are
// those of changes that altered a row; that a version ended because another began
// alters neither.
//
// A Decider decides instead of types: whether a change is ignored, overwrites the
// version in force, makes a version or deletes. It sees one change after another,
// again from where an earlier one comes to lie. Deletions with HardDeletesIgnore are
// not shown to it.
//
// # Late changes
//
// Every change is kept, those that altered nothing included, until it took effect
// late_changes before the watermark: a change before it splits the interval. Versions
// are kept for ever. Later changes are refused (record.CodeLateChange) if another of
// their member is known to be newer when the epoch begins; in front of nothing, an
// old change splits nothing, so that a table of old rows can be read. Changes of
// keyed models cannot be refused: they count as effective when the last forgotten
// one was.
//
// # Lookups
//
// Resolve finds versions for facts. A member without any is inferred, with null
// attributes: from Beginning, so that with FirstValidFromBeginning it has the key of
// the first version to come, which fills it in. With FirstValidFromEffective there is
// an inferred version in front of the first one as soon, and as long, as a fact asks
// for a time there. EndInferred tells of their rows, after all facts have asked. In a
// gap the unknown member is found, whose row is there from the first epoch on. Where
// members have one row it is found for all time up to its end.
//
// Moved is what End changed for lookups: of members that were there, or inferred,
// before. Of others nobody can have asked. It tells keys from attributes, so that
// facts that copy none need not look.
//
// # State
//
// A member has a head: what it is now, the version in force, and its newest changes.
// A change in order reads and writes the head alone, and the version that it ends.
// Older versions and, of members with many, older changes have keys of their own,
// in the order in which they are looked for.
package dimension
