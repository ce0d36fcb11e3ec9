// Package aggregate holds the aggregate functions: count, count_if, sum, avg,
// min, max, any, first, last, count_distinct and approx_count_distinct.
//
// A Set is the accumulators of some calls for many groups. A group is a slot,
// a small number that the caller gives out; rows are added a batch at a time.
// Accumulators merge, and are written to bytes and read back.
//
// # The order of rows does not matter
//
// Whatever order rows are added in, however they are split among groups that
// merge, results are equal, and so are the bytes: sums of doubles are kept
// exactly and rounded once, first and last go by an order of the rows
// themselves, sketches keep maxima.
//
// # Types
//
//	count(), count(x), count_if(condition)   long
//	sum     int, long → long; decimal(p,s) → decimal(p+10,s); float, double → double
//	avg     int, long, float, double → double; decimal(p,s) → decimal(p+4,s+4)
//	min, max, any, first, last               the type of the argument
//	count_distinct, approx_count_distinct    long
//
// Decimals have at most 38 digits. Structs, lists and maps can only be counted.
//
// Nulls are left out by all of them, first and last included; over no values
// counts are 0 and the rest are null. first and last go by (event time, topic,
// partition, offset, row). any is the least value, so that it is always the
// same one. Of doubles NaN equals itself and is the greatest, -0 equals 0, as
// in expressions. approx_count_distinct is a HyperLogLog of 4096 registers: its
// standard error is 1.6%.
//
// # Overflow
//
// A sum is added up in as many digits as it takes. Only where the result does
// not fit its type, a Fault takes its place: that does not depend on the order
// of rows, where an overflow on the way would. The same holds for more distinct
// values than Limits allow. What a single row is at fault for, a text that is
// too long to be kept, Set.Check finds before the row is added.
package aggregate
