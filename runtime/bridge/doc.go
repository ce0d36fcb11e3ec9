// Package bridge makes the rows of bridges: members of dimensions that belong to
// one another, many to many, by durable keys, with the times from and to which
// they do. Every change of a row is one of a changelog.
//
// # Owners and members
//
// With unnest a row of the input maps its owner, the members of the foreign keys
// that the row itself has, to each element of a list, the members of the others. A
// later change of an owner replaces all that it maps: elements that are no longer
// in the list end, others begin. An element that is there twice counts once, the
// first time. A null element is the unknown member.
//
// Without unnest a row is one mapping, whose owner is all of its members.
//
// Members are known by durable keys. A null part of a natural key, or a number that
// the dimension's type does not hold, is the unknown member. A row without any
// member that is known maps nothing, and is refused.
//
// # Time
//
// A change counts from its effective time on; of several changes of an owner with
// one effective time the last one does, by the source's sequence and then by topic,
// partition, offset and row. A mapping is a row [valid_from, valid_to) as long as it
// stays and neither weight nor derived columns change (invariant 9). Whatever order
// changes come in, the rows are those of the changes in their order. What a change
// of a database does not carry is that of the change before it.
//
// The changes of an owner are kept for a while. Let W be the watermark of an epoch: of
// changes at or before W less late_changes it is kept what they come to, but for those
// of the newest time, which others may have yet. A change of that time is late if it
// comes before others that were known when the epoch began.
// Late rows of staging models are refused; a late change of a keyed model counts
// from where what is kept of the others ends.
//
// Of the changes of a keyed model with one effective time, that of the latest epoch
// counts. The deletion of a row takes effect when its newest record was made, but not
// before the row did, and ends what the row maps if no other row of its owner has
// come since.
//
// # Keys
//
// The surrogate key is hashed from the durable keys and valid_from (invariant 8).
// Members that a dimension does not have are inferred there.
package bridge
