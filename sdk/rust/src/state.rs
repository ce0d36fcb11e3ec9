use core::cell::Cell;
use std::rc::Rc;

use crate::error::{Error, Result};
use crate::input::{Batch, Binaries, Strings, Values};
use crate::output::{BinaryBuilder, Output, StringBuilder};
use crate::raw::{at_mut, slice_at_mut, ArrowArray};

/// A plugin that sums up sessions. The host owns the keys, the gaps and the state
/// of every session: these functions get state as rows and change it, and keep
/// nothing between calls.
pub trait Session {
    /// Adds rows to the state of their groups: row i belongs to row `groups[i]` of
    /// `state`. Rows are sorted by group and event time. A row that is reported as
    /// an error must not have changed the state.
    fn accumulate(&self, input: &Batch, groups: &[u32], state: &State) -> Result<()>;

    /// Joins sessions that became one, row by row; `into` is the earlier.
    fn merge(&self, into: &State, from: &Batch) -> Result<()>;

    /// Makes the output of sessions: their state and `_key`, `_start`, `_end`
    /// (timestamps), `_count` (long) and `_closed` (boolean).
    fn finish(&self, input: &Batch, out: &Output) -> Result<()>;
}

impl<S: Session + ?Sized> Session for Rc<S> {
    fn accumulate(&self, input: &Batch, groups: &[u32], state: &State) -> Result<()> {
        (**self).accumulate(input, groups, state)
    }

    fn merge(&self, into: &State, from: &Batch) -> Result<()> {
        (**self).merge(into, from)
    }

    fn finish(&self, input: &Batch, out: &Output) -> Result<()> {
        (**self).finish(input, out)
    }
}

/// State of sessions, a row each. What is not set stays as it is.
///
/// Columns of fixed width are changed where they lie. Those of strings and bytes
/// are read as they are and built anew, every row of them.
pub struct State<'a> {
    batch: Batch<'a>,
    out: Output<'a>,
    lent: Vec<Cell<bool>>,
}

impl<'a> State<'a> {
    /// # Safety
    /// The host lets the guest change the columns of the batch, which nothing else
    /// reads during the call.
    pub(crate) unsafe fn new(batch: Batch<'a>, out: Output<'a>) -> State<'a> {
        let lent = batch.columns().iter().map(|_| Cell::new(false)).collect();
        State { batch, out, lent }
    }

    /// The number of rows.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    pub fn boolean(&self, name: &str) -> Result<StateBooleans<'_>> {
        let (lent, bytes) = (self.lend(name, "b")?, (self.len() + 7) / 8);
        Ok(StateBooleans { bits: lent.values(bytes), valid: lent.valid(), lent })
    }

    pub fn int(&self, name: &str) -> Result<StateNumbers<'_, i32>> {
        self.numbers(name, "i")
    }

    pub fn long(&self, name: &str) -> Result<StateNumbers<'_, i64>> {
        self.numbers(name, "l")
    }

    pub fn float(&self, name: &str) -> Result<StateNumbers<'_, f32>> {
        self.numbers(name, "f")
    }

    pub fn double(&self, name: &str) -> Result<StateNumbers<'_, f64>> {
        self.numbers(name, "g")
    }

    /// Unscaled values: 1234 with scale 2 is 12.34.
    pub fn decimal(&self, name: &str) -> Result<StateNumbers<'_, i128>> {
        self.numbers(name, "d:")
    }

    /// In days since 1970-01-01.
    pub fn date(&self, name: &str) -> Result<StateNumbers<'_, i32>> {
        self.numbers(name, "tdD")
    }

    /// In microseconds since 1970-01-01 (UTC for timestamptz).
    pub fn timestamp(&self, name: &str) -> Result<StateNumbers<'_, i64>> {
        self.numbers(name, "tsu:")
    }

    /// A column of strings as it is.
    pub fn string(&self, name: &str) -> Result<Strings<'a>> {
        self.batch.string(name)
    }

    /// A column of bytes as it is.
    pub fn binary(&self, name: &str) -> Result<Binaries<'a>> {
        self.batch.binary(name)
    }

    /// A column of strings to be. Rows that are not set are null.
    pub fn build_string(&self, name: &str) -> Result<StringBuilder<'a>> {
        self.out.string(name)
    }

    /// A column of bytes to be. Rows that are not set are null.
    pub fn build_binary(&self, name: &str) -> Result<BinaryBuilder<'a>> {
        self.out.binary(name)
    }

    /// Reports that input row i cannot be used, as [`Output::row_error`] does.
    /// Sessions cannot be refused by `merge`.
    pub fn row_error(&self, i: usize, code: &str, column: &str, message: &str) {
        self.out.row_error(i, code, column, message);
    }

    /// Passes the columns that were not built: as they are now.
    pub(crate) fn keep(&self) {
        self.out.keep_unset(self.batch.columns());
    }

    fn numbers<T>(&self, name: &str, format: &str) -> Result<StateNumbers<'_, T>> {
        let lent = self.lend(name, format)?;
        Ok(StateNumbers { values: lent.values(self.len()), valid: lent.valid(), lent })
    }

    /// Gives a column to be changed to one at a time.
    fn lend(&self, name: &str, format: &str) -> Result<Lent<'_>> {
        let v = self.batch.find(name, format)?;
        let columns = self.batch.columns();
        let i = columns.iter().position(|c| c.source == v.source).unwrap_or(0);
        if self.lent[i].replace(true) {
            return Err(Error::new(format!("state column \"{}\" is being changed already", name)));
        }
        // The host's struct says how many nulls there were: the guest may make some.
        unsafe { at_mut::<ArrowArray>(v.source).null_count = -1 };
        Ok(Lent { column: v, rows: self.len(), taken: &self.lent[i] })
    }
}

/// A column of state that nothing else reads or changes until this is dropped.
struct Lent<'s> {
    column: Values<'s>,
    rows: usize,
    taken: &'s Cell<bool>,
}

impl<'s> Lent<'s> {
    /// The buffer of values. The host made it of the column's type, which `lend`
    /// compared with the caller's.
    fn values<T>(&self, n: usize) -> &'s mut [T] {
        unsafe { slice_at_mut(self.column.buffer(1), n) }
    }

    fn valid(&self) -> &'s mut [u8] {
        unsafe { slice_at_mut(self.column.buffer(0), (self.rows + 7) / 8) }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.taken.set(false);
    }
}

#[inline]
fn bit(bits: &[u8], i: usize) -> bool {
    bits[i >> 3] >> (i & 7) & 1 == 1
}

#[inline]
fn put(bits: &mut [u8], i: usize, v: bool) {
    let (byte, bit) = (&mut bits[i >> 3], 1 << (i & 7));
    *byte = if v { *byte | bit } else { *byte & !bit };
}

/// A column of numbers, decimals, dates or timestamps of state, to be read and
/// changed.
pub struct StateNumbers<'s, T> {
    values: &'s mut [T],
    valid: &'s mut [u8],
    #[allow(dead_code)] // dropped last
    lent: Lent<'s>,
}

impl<T: Copy> StateNumbers<'_, T> {
    #[inline]
    pub fn get(&self, i: usize) -> Option<T> {
        bit(self.valid, i).then(|| self.values[i])
    }

    /// The value of row i; of a null it is unspecified.
    #[inline]
    pub fn at(&self, i: usize) -> T {
        self.values[i]
    }

    /// The value of row i, or `instead` when it is null.
    #[inline]
    pub fn or(&self, i: usize, instead: T) -> T {
        self.get(i).unwrap_or(instead)
    }

    #[inline]
    pub fn is_null(&self, i: usize) -> bool {
        !bit(self.valid, i)
    }

    #[inline]
    pub fn set(&mut self, i: usize, v: T) {
        self.values[i] = v;
        put(self.valid, i, true);
    }

    pub fn set_null(&mut self, i: usize) {
        put(self.valid, i, false);
    }

    /// All rows, to be written where no row is null: those that are stay so.
    pub fn values(&mut self) -> &mut [T] {
        self.values
    }
}

/// A column of true and false of state, to be read and changed.
pub struct StateBooleans<'s> {
    bits: &'s mut [u8],
    valid: &'s mut [u8],
    #[allow(dead_code)] // dropped last
    lent: Lent<'s>,
}

impl StateBooleans<'_> {
    #[inline]
    pub fn get(&self, i: usize) -> Option<bool> {
        bit(self.valid, i).then(|| self.at(i))
    }

    /// The value of row i; of a null it is unspecified.
    #[inline]
    pub fn at(&self, i: usize) -> bool {
        bit(self.bits, i)
    }

    #[inline]
    pub fn is_null(&self, i: usize) -> bool {
        !bit(self.valid, i)
    }

    pub fn set(&mut self, i: usize, v: bool) {
        put(self.bits, i, v);
        put(self.valid, i, true);
    }

    pub fn set_null(&mut self, i: usize) {
        put(self.valid, i, false);
    }
}
