// Package trial runs plugins of every kind on rows that an author wrote, or on
// random ones, and compares what they answer.
//
//	Case     rows that go in, with what should come of them
//	Rows     the rows, with the keys and times that kinds session and scd need
//	Subject  a plugin opened for such rows
//	Answer   what came of them, as text, by part
//
// What the host owns of the other kinds is played here: a session plugin is
// taken through accumulate, merge and finish by keys and a gap, and an scd
// plugin is asked about each change beside the version that the former ones left
// in force.
package trial
