// Package expression is the language of where, derive and expression_is_true:
// a typed subset of SQL expressions over the columns of one row, checked before
// anything runs and computed a batch at a time.
//
// Parse reads the text, Check finds the types over a schema and compiles, Eval
// computes an Arrow array of a record batch. All of them are pure.
//
// # Types
//
// Values have the project language's types. They widen by themselves only where
// nothing can be lost: int to long, int and long to decimal, a decimal to one
// with more digits, any number to double beside a double, a date to the
// timestamp of its midnight. A text in quotes beside a date or timestamp is
// read as one. Everything else wants a cast. Structs are read by their fields
// (a.b); they, lists and maps can be passed on and tested for null.
//
// An integer literal is an int, or a long if it is larger; 1.50 is a
// decimal(3,2); 1e3 is a double.
//
// # Meaning
//
// Where engines differ, this is what holds:
//
//   - Nulls: and, or and not are three-valued; any other operation on a null is
//     null, but for is, coalesce, case, nullif, greatest and least. The last
//     two leave nulls out, as in PostgreSQL, Spark and DuckDB.
//   - Whole numbers: + - * % make longs, whatever is added. / makes a double.
//     A result that a long does not hold is an error, not a wrap-around.
//   - Decimals: the results have the precision and scale of Spark and Hive
//     (decimalResult); past 38 digits the scale goes down to 6 at least, and
//     what is cut off is rounded half away from zero.
//   - Doubles: a division by zero, and a result that overflows, is an error.
//     NaN equals itself and is greater than all others; -0 equals 0.
//   - Text is compared byte by byte (the order of code points), and counted in
//     characters (code points).
//   - Time: a timestamptz is an instant, counted in microseconds; its parts are
//     those of UTC. timestamp and timestamptz do not mix without a cast, which
//     reads the former as UTC. A month after January 31 is the last of February.
//     Results are within the years 1 to 9999.
//   - cast to a whole number or a smaller scale rounds half away from zero.
//
// # Rows that cannot be computed
//
// A row for which an operation has no result (a division by zero, a number out
// of range, a text that is no number) gets a RowError. It counts only where the
// value is asked for: and, or, case and coalesce go from left to right and ask
// for no more than they need, as if every row were computed alone. try_cast
// makes nulls of values that do not fit.
package expression
