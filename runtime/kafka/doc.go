// Package kafka reads topics, writes records for people who bring their own
// data, and runs the embedded broker. It is the only package that knows the
// Kafka client library.
//
// A Source reads with manual assignment and no consumer group: which record is
// next is decided by the lake alone (invariant 2), so nothing is ever reset,
// skipped or acknowledged here. What cannot be read at the position that was
// asked for is an error, never a jump (invariant 12).
package kafka
