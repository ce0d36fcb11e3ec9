// Package record is the vocabulary that every step of a pipeline shares: where
// a record came from (Position), what Kafka delivered (Record, Slice), the rows
// that were made of it (Batch), and why a record did not become rows (Reject).
//
// It imports nothing of Calve, so that any package may import it.
package record
