// Package debezium says what the change events of Debezium mean, whatever
// format holds them: operations, where in the source's log a change stands,
// values that an event leaves out.
//
// A reader of a format fills a Source with the members of `source` that Fields
// names, and asks it when the change was made and where it stands. It follows
// Debezium 2.x and 3.x ("Change events" in the documentation of each
// connector).
package debezium
