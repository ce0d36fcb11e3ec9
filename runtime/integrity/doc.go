// Package integrity checks the data tests that no row can be told by itself:
// unique, and relationships. A test reads the rows of models as a keyed model
// does, keeps in state what it must remember of them, and says at the end of each
// epoch how many of its rows are against it, before anyone sees them.
//
// As in dbt, and as a constraint of a database, a test says nothing of a row that
// has a null in the columns tested, and nothing of one that its model says is not
// to be tested (Input.Untested).
//
// # Unique
//
// The rows of a keyed model come and go: a value is unique if one row has it when
// the epoch ends. State holds about 60 bytes for each row that has a value.
//
// The rows of a staging model are never gone, and cannot be remembered for ever. A
// row is against the test if another with its values came before, within the
// horizon: until the watermark has passed that row's event time by the horizon.
// State holds about 60 bytes for each value within it.
//
// # Relationships
//
// Every value of a column must be one of a column of the other model, when the
// epoch ends: of the rows that the epoch changed, and of those whose counterpart
// it took away. State holds about 40 bytes for each different value, and for a
// keyed model as many for each row.
package integrity
