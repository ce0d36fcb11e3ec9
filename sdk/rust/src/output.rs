use core::cell::{Cell, RefCell};
use core::mem::take;

use crate::abi;
use crate::column::Column;
use crate::error::{Error, Result};
use crate::input::Values;

/// Takes what a transform makes of a batch, for one stream.
///
/// As a rule an output has a row for each row of the input, at the same place:
/// rows not set are null, and rows dropped or reported as errors are left out.
/// Where one input row makes several rows, call [`Output::own_rows`] first, begin
/// each output row with [`Output::add_row`], and set its number.
///
/// A column that is begun counts as set when its builder goes out of scope.
#[derive(Clone, Copy)]
pub struct Output<'a> {
    all: &'a Outputs,
    stream: &'a Stream,
}

/// The streams of a plugin and what they share.
pub(crate) struct Outputs {
    pub streams: Vec<Stream>,
    pub errors: RefCell<RowErrors>,
    pub actions: RefCell<Option<Vec<i8>>>, // of decisions
    rows: Cell<usize>,                     // of the output
    error_rows: Cell<usize>,               // that a row error may be about
    failure: RefCell<Option<Error>>,
}

/// What to do with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Action {
    Ignore = abi::ACTION_IGNORE as i8,
    Overwrite = abi::ACTION_OVERWRITE as i8,
    NewVersion = abi::ACTION_NEW_VERSION as i8,
    Delete = abi::ACTION_DELETE as i8,
}

pub(crate) struct Stream {
    pub columns: Vec<Column>,
    pub slots: Vec<RefCell<Slot>>,
    pub selection: RefCell<Vec<u8>>,
    pub rows_of: RefCell<Vec<i32>>, // the input row of each row of its own
    pub selects: Cell<bool>,
    pub own: Cell<bool>,
    pub used: Cell<bool>,
}

/// The memory of one output column, kept from batch to batch.
#[derive(Default)]
pub(crate) struct Slot {
    pub set: Set,
    building: bool,
    pub valid: Vec<u8>,
    pub numbers: Buffer,
    pub offsets: Vec<i32>,
    pub bytes: Vec<u8>, // of text, or the bits of booleans
}

/// What a batch has set of a column.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Set {
    #[default]
    Nothing,
    Numbers,
    Booleans,
    Text,
    Passed(u32),
}

/// The values of a column of numbers.
#[doc(hidden)]
#[derive(Default)]
pub struct Buffer(Typed);

enum Typed {
    I32(Vec<i32>),
    I64(Vec<i64>),
    I128(Vec<i128>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Default for Typed {
    fn default() -> Typed {
        Typed::I32(vec![])
    }
}

impl Buffer {
    /// Makes room for that many rows; returns where they are.
    pub(crate) fn finish(&mut self, rows: usize) -> u32 {
        fn padded<T: Number>(v: &mut Vec<T>, rows: usize) -> u32 {
            v.resize(rows, T::default());
            v.as_ptr() as usize as u32
        }
        match &mut self.0 {
            Typed::I32(v) => padded(v, rows),
            Typed::I64(v) => padded(v, rows),
            Typed::I128(v) => padded(v, rows),
            Typed::F32(v) => padded(v, rows),
            Typed::F64(v) => padded(v, rows),
        }
    }
}

/// What a column of fixed width holds. It is implemented for `i32`, `i64`,
/// `i128`, `f32` and `f64`.
pub trait Number: Copy + Default + 'static {
    #[doc(hidden)]
    fn wrap(values: Vec<Self>) -> Buffer;
    #[doc(hidden)]
    fn unwrap(buffer: Buffer) -> Vec<Self>;
}

macro_rules! number {
    ($type:ty, $variant:ident) => {
        impl Number for $type {
            fn wrap(values: Vec<$type>) -> Buffer {
                Buffer(Typed::$variant(values))
            }

            fn unwrap(buffer: Buffer) -> Vec<$type> {
                match buffer.0 {
                    Typed::$variant(values) => values,
                    _ => vec![],
                }
            }
        }
    };
}

number!(i32, I32);
number!(i64, I64);
number!(i128, I128);
number!(f32, F32);
number!(f64, F64);

impl Outputs {
    pub fn new(streams: Vec<Vec<Column>>) -> Outputs {
        let stream = |columns: Vec<Column>| Stream {
            slots: columns.iter().map(|_| RefCell::default()).collect(),
            columns,
            selection: RefCell::default(),
            rows_of: RefCell::default(),
            selects: Cell::new(false),
            own: Cell::new(false),
            used: Cell::new(false),
        };
        Outputs {
            streams: streams.into_iter().map(stream).collect(),
            errors: RefCell::default(),
            actions: RefCell::default(),
            rows: Cell::new(0),
            error_rows: Cell::new(0),
            failure: RefCell::new(None),
        }
    }

    /// Prepares for a batch of that many rows.
    pub fn begin(&mut self, rows: usize) {
        self.rows.set(rows);
        self.error_rows.set(rows);
        *self.actions.get_mut() = None;
        *self.failure.get_mut() = None;
        self.errors.get_mut().clear();
        for s in &mut self.streams {
            s.selects.set(false);
            s.own.set(false);
            s.used.set(false);
            s.rows_of.get_mut().clear();
            for slot in &mut s.slots {
                slot.get_mut().set = Set::Nothing;
                slot.get_mut().building = false;
            }
        }
    }

    /// Prepares for changes to be decided upon, to be ignored at first.
    pub fn begin_actions(&mut self) {
        *self.actions.get_mut() = Some(vec![0; self.rows.get()]);
    }

    /// Says that row errors are about that many rows instead.
    pub fn begin_errors(&mut self, rows: usize) {
        self.error_rows.set(rows);
    }

    pub fn main(&self) -> Output<'_> {
        Output { all: self, stream: &self.streams[abi::STREAM_MAIN as usize] }
    }

    /// The number of rows of a stream.
    pub fn len(&self, stream: &Stream) -> usize {
        if stream.own.get() {
            stream.rows_of.borrow().len()
        } else {
            self.rows.get()
        }
    }

    /// The first failure counts.
    fn fail(&self, message: String) {
        self.failure.borrow_mut().get_or_insert(Error::new(message));
    }

    /// What went wrong where nothing could be returned.
    pub fn take_failure(&self) -> Result<()> {
        self.failure.borrow_mut().take().map_or(Ok(()), Err)
    }

    fn is_row(&self, i: usize) -> bool {
        self.is_row_of(i, self.rows.get())
    }

    fn is_row_of(&self, i: usize, rows: usize) -> bool {
        if i >= rows {
            self.fail(format!("row {} is outside the batch of {} rows", i, rows));
        }
        i < rows
    }
}

impl<'a> Output<'a> {
    /// The output of another stream of a plugin that declares several; 0 is the
    /// output itself. A stream other than 0 that is not touched is empty for this
    /// batch.
    pub fn stream(&self, stream: usize) -> Result<Output<'a>> {
        match self.all.streams.get(stream) {
            Some(s) => Ok(Output { all: self.all, stream: s }),
            None => Err(Error::new(format!("the plugin declares no output stream {}", stream))),
        }
    }

    pub fn boolean(&self, name: &str) -> Result<BooleanBuilder<'a>> {
        let (slot, fresh) = self.begin(name, "b", Set::Booleans)?;
        let mut s = slot.borrow_mut();
        let (mut bits, valid) = (take(&mut s.bytes), take(&mut s.valid));
        if fresh {
            bits.clear();
            bits.resize(valid.len(), 0);
        }
        Ok(BooleanBuilder { all: self.all, stream: self.stream, slot, bits, valid })
    }

    pub fn int(&self, name: &str) -> Result<NumberBuilder<'a, i32>> {
        self.numbers(name, "i")
    }

    pub fn long(&self, name: &str) -> Result<NumberBuilder<'a, i64>> {
        self.numbers(name, "l")
    }

    pub fn float(&self, name: &str) -> Result<NumberBuilder<'a, f32>> {
        self.numbers(name, "f")
    }

    pub fn double(&self, name: &str) -> Result<NumberBuilder<'a, f64>> {
        self.numbers(name, "g")
    }

    /// Unscaled values: 1234 with scale 2 is 12.34.
    pub fn decimal(&self, name: &str) -> Result<NumberBuilder<'a, i128>> {
        self.numbers(name, "d:")
    }

    /// In days since 1970-01-01.
    pub fn date(&self, name: &str) -> Result<NumberBuilder<'a, i32>> {
        self.numbers(name, "tdD")
    }

    /// In microseconds since 1970-01-01 (UTC for timestamptz).
    pub fn timestamp(&self, name: &str) -> Result<NumberBuilder<'a, i64>> {
        self.numbers(name, "tsu:")
    }

    pub fn string(&self, name: &str) -> Result<StringBuilder<'a>> {
        Ok(StringBuilder(self.text(name, "u")?))
    }

    pub fn binary(&self, name: &str) -> Result<BinaryBuilder<'a>> {
        self.text(name, "z")
    }

    /// Makes an input column an output column, without copying it.
    pub fn pass(&self, name: &str, column: Values) -> Result<()> {
        let slot = self.find(name, &column.column.format)?;
        slot.borrow_mut().set = Set::Passed(column.source);
        Ok(())
    }

    /// Leaves row i out: a filtered row.
    pub fn drop_row(&self, i: usize) {
        self.stream.used.set(true);
        if !self.all.is_row(i) {
            return;
        }
        let mut selection = self.stream.selection.borrow_mut();
        if !self.stream.selects.replace(true) {
            set_bits(&mut selection, self.all.rows.get());
        }
        selection[i >> 3] &= !(1 << (i & 7));
    }

    /// Keeps the rows for which `keep` is true, of those that are not dropped.
    pub fn keep(&self, mut keep: impl FnMut(usize) -> bool) {
        for i in 0..self.all.rows.get() {
            if !keep(i) {
                self.drop_row(i);
            }
        }
    }

    /// Reports that input row i cannot be used: it is left out of every output
    /// and becomes a dead letter with its original bytes. `code` is the reason to
    /// count by (lower case, digits and underscores), `column` the input column
    /// at fault ("" if none in particular), `message` is for a person. The first
    /// error of a row counts.
    pub fn row_error(&self, i: usize, code: &str, column: &str, message: &str) {
        if self.all.is_row_of(i, self.all.error_rows.get()) {
            self.all.errors.borrow_mut().add(i, code, column, message);
        }
    }

    /// Sets what to do with change i. A change without an action is ignored. Only
    /// a plugin of kind scd has actions.
    pub fn action(&self, i: usize, action: Action) {
        match self.all.actions.borrow_mut().as_mut() {
            None => self.all.fail("an action of a plugin that is not of kind scd".into()),
            Some(actions) if self.all.is_row(i) => actions[i] = action as i8,
            Some(_) => {}
        }
    }

    /// Makes columns that were not set those of a batch.
    pub(crate) fn keep_unset(&self, columns: &[Values]) {
        for (slot, column) in self.stream.slots.iter().zip(columns) {
            let set = &mut slot.borrow_mut().set;
            if *set == Set::Nothing {
                *set = Set::Passed(column.source);
            }
        }
    }

    /// Says that the output's rows are those of [`Output::add_row`], none before
    /// the first. Columns cannot be passed through then, nor rows dropped.
    pub fn own_rows(&self) {
        self.stream.used.set(true);
        self.stream.own.set(true);
    }

    /// Begins an output row made of input row i and returns its number, which is
    /// what setting a column takes. Input rows must come in order.
    pub fn add_row(&self, i: usize) -> usize {
        let mut rows = self.stream.rows_of.borrow_mut();
        if !self.all.is_row(i) {
            return 0;
        }
        if !self.stream.own.get() {
            self.all.fail("add_row without own_rows: call own_rows before anything else of the output".into());
            return 0;
        }
        match rows.last() {
            Some(&last) if last > i as i32 => {
                self.all.fail(format!("row {} is added after row {}: add rows in the order of the input", i, last));
                return 0;
            }
            _ => rows.push(i as i32),
        }
        rows.len() - 1
    }

    /// The memory of a declared column, whose type is compared by the beginning
    /// of its format.
    fn find(&self, name: &str, format: &str) -> Result<&'a RefCell<Slot>> {
        self.stream.used.set(true);
        match self.stream.columns.iter().position(|c| c.name == name) {
            None => Err(Error::new(format!("output column \"{}\" is not declared", name))),
            Some(at) => {
                let declared = &self.stream.columns[at].format;
                if declared.starts_with(format) {
                    return Ok(&self.stream.slots[at]);
                }
                Err(Error::new(format!(
                    "output column \"{}\" is declared with format \"{}\", not \"{}\"",
                    name, declared, format
                )))
            }
        }
    }

    /// Takes a column to be built; fresh, unless the batch has set rows of it
    /// before.
    fn begin(&self, name: &str, format: &str, set: Set) -> Result<(&'a RefCell<Slot>, bool)> {
        let cell = self.find(name, format)?;
        let mut slot = cell.borrow_mut();
        if slot.building {
            return Err(Error::new(format!("output column \"{}\" is being built already", name)));
        }
        slot.building = true;
        let fresh = slot.set != set;
        if fresh {
            slot.set = set;
            slot.valid.clear();
            slot.valid.resize((self.all.rows.get() + 7) / 8, 0);
        }
        drop(slot);
        Ok((cell, fresh))
    }

    fn numbers<T: Number>(&self, name: &str, format: &str) -> Result<NumberBuilder<'a, T>> {
        let (slot, fresh) = self.begin(name, format, Set::Numbers)?;
        let mut s = slot.borrow_mut();
        let (mut values, valid) = (T::unwrap(take(&mut s.numbers)), take(&mut s.valid));
        if fresh {
            values.clear();
            values.resize(self.all.rows.get(), T::default());
        }
        Ok(NumberBuilder { all: self.all, stream: self.stream, slot, values, valid })
    }

    fn text(&self, name: &str, format: &str) -> Result<BinaryBuilder<'a>> {
        let (slot, fresh) = self.begin(name, format, Set::Text)?;
        let mut s = slot.borrow_mut();
        let (mut offsets, mut bytes, valid) = (take(&mut s.offsets), take(&mut s.bytes), take(&mut s.valid));
        if fresh {
            bytes.clear();
            offsets.clear();
            offsets.reserve(self.all.rows.get() + 1);
            offsets.push(0);
        }
        Ok(BinaryBuilder { all: self.all, stream: self.stream, slot, offsets, bytes, valid })
    }
}

/// Tells whether row i may be set of a column, and makes a bit for it.
fn may_set(all: &Outputs, stream: &Stream, valid: &mut Vec<u8>, i: usize) -> bool {
    if !stream.own.get() && !all.is_row(i) {
        return false;
    }
    if i >> 3 >= valid.len() {
        valid.resize((i >> 3) + 1, 0);
    }
    true
}

/// Sets the first n bits; the last byte's others are 0.
fn set_bits(bits: &mut Vec<u8>, n: usize) {
    bits.clear();
    bits.resize(n / 8, 0xff);
    if n % 8 > 0 {
        bits.push((1 << (n % 8)) - 1);
    }
}

/// Makes a column of numbers, decimals, dates or timestamps.
pub struct NumberBuilder<'a, T: Number> {
    all: &'a Outputs,
    stream: &'a Stream,
    slot: &'a RefCell<Slot>,
    values: Vec<T>,
    valid: Vec<u8>,
}

impl<T: Number> NumberBuilder<'_, T> {
    /// Sets row i. Rows may be set in any order.
    #[inline]
    pub fn set(&mut self, i: usize, v: T) {
        if i >= self.values.len() && !self.make_room(i) {
            return;
        }
        self.values[i] = v;
        self.valid[i >> 3] |= 1 << (i & 7);
    }

    #[cold]
    fn make_room(&mut self, i: usize) -> bool {
        if !may_set(self.all, self.stream, &mut self.valid, i) {
            return false;
        }
        self.values.resize(i + 1, T::default());
        true
    }

    /// Makes row i null again.
    pub fn set_null(&mut self, i: usize) {
        if let Some(byte) = self.valid.get_mut(i >> 3) {
            *byte &= !(1 << (i & 7));
        }
    }

    /// Every row of the batch, marked as set, to be written: faster than row by
    /// row.
    pub fn values(&mut self) -> &mut [T] {
        set_bits(&mut self.valid, self.values.len());
        &mut self.values
    }
}

impl<T: Number> Drop for NumberBuilder<'_, T> {
    fn drop(&mut self) {
        let mut s = self.slot.borrow_mut();
        s.numbers = T::wrap(take(&mut self.values));
        s.valid = take(&mut self.valid);
        s.building = false;
    }
}

/// Makes a column of true and false.
pub struct BooleanBuilder<'a> {
    all: &'a Outputs,
    stream: &'a Stream,
    slot: &'a RefCell<Slot>,
    bits: Vec<u8>,
    valid: Vec<u8>,
}

impl BooleanBuilder<'_> {
    /// Sets row i. Rows may be set in any order.
    pub fn set(&mut self, i: usize, v: bool) {
        if !may_set(self.all, self.stream, &mut self.valid, i) {
            return;
        }
        if i >> 3 >= self.bits.len() {
            self.bits.resize(self.valid.len(), 0);
        }
        let (byte, bit) = (&mut self.bits[i >> 3], 1 << (i & 7));
        *byte = if v { *byte | bit } else { *byte & !bit };
        self.valid[i >> 3] |= bit;
    }

    /// Makes row i null again.
    pub fn set_null(&mut self, i: usize) {
        if let Some(byte) = self.valid.get_mut(i >> 3) {
            *byte &= !(1 << (i & 7));
        }
    }
}

impl Drop for BooleanBuilder<'_> {
    fn drop(&mut self) {
        let mut s = self.slot.borrow_mut();
        s.bytes = take(&mut self.bits);
        s.valid = take(&mut self.valid);
        s.building = false;
    }
}

/// Makes a column of text.
pub struct StringBuilder<'a>(BinaryBuilder<'a>);

impl StringBuilder<'_> {
    /// Sets row i, which must come after every row set before.
    #[inline]
    pub fn set(&mut self, i: usize, v: &str) {
        self.0.set(i, v.as_bytes());
    }

    /// Adds to the row that was set last.
    pub fn append(&mut self, more: &str) {
        self.0.append(more.as_bytes());
    }

    /// Room for that many bytes of text in all, to spare growing.
    pub fn reserve(&mut self, bytes: usize) {
        self.0.reserve(bytes);
    }
}

/// Makes a column of bytes.
pub struct BinaryBuilder<'a> {
    all: &'a Outputs,
    stream: &'a Stream,
    slot: &'a RefCell<Slot>,
    offsets: Vec<i32>, // offsets[i] is where row i begins; the last is where the next one will
    bytes: Vec<u8>,
    valid: Vec<u8>,
}

impl BinaryBuilder<'_> {
    /// Sets row i, which must come after every row set before.
    #[inline]
    pub fn set(&mut self, i: usize, v: &[u8]) {
        if (i + 1 != self.offsets.len() || i >> 3 >= self.valid.len()) && !self.make_room(i) {
            return;
        }
        extend(&mut self.bytes, v);
        self.offsets.push(self.bytes.len() as i32);
        self.valid[i >> 3] |= 1 << (i & 7);
    }

    /// Makes the rows between the last one and i null.
    #[cold]
    fn make_room(&mut self, i: usize) -> bool {
        if i + 1 < self.offsets.len() {
            let last = self.offsets.len() - 2;
            self.all.fail(format!("row {} is set after row {}: set the rows of strings and bytes in order", i, last));
            return false;
        }
        if !may_set(self.all, self.stream, &mut self.valid, i) {
            return false;
        }
        pad(&mut self.offsets, i + 1);
        true
    }

    /// Adds to the row that was set last.
    pub fn append(&mut self, more: &[u8]) {
        if self.offsets.len() < 2 {
            self.all.fail("append before any row is set".into());
            return;
        }
        extend(&mut self.bytes, more);
        let last = self.offsets.len() - 1;
        self.offsets[last] = self.bytes.len() as i32;
    }

    /// Room for that many bytes in all, to spare growing.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes.saturating_sub(self.bytes.len()));
    }
}

impl Drop for BinaryBuilder<'_> {
    fn drop(&mut self) {
        if self.bytes.len() > i32::MAX as usize {
            self.all.fail("more than 2 GiB of text in one batch".into());
        }
        let mut s = self.slot.borrow_mut();
        s.offsets = take(&mut self.offsets);
        s.bytes = take(&mut self.bytes);
        s.valid = take(&mut self.valid);
        s.building = false;
    }
}

/// Fills offsets up to n with empty rows.
pub(crate) fn pad(offsets: &mut Vec<i32>, n: usize) {
    let end = offsets.last().copied().unwrap_or(0);
    if offsets.len() < n {
        offsets.resize(n, end);
    }
}

/// Appends bytes. Most texts are short, and a call of memcpy costs more than it
/// copies: pieces of 16, 8 and 4 bytes overlap so that none is read beyond the
/// end.
#[inline]
fn extend(to: &mut Vec<u8>, from: &[u8]) {
    let n = from.len();
    to.reserve(n);
    // The room is there, and every piece lies within both.
    unsafe {
        let (source, target) = (from.as_ptr(), to.as_mut_ptr().add(to.len()));
        if n >= 16 {
            let mut at = 0;
            while at + 16 <= n {
                piece::<u128>(source, target, at);
                at += 16;
            }
            piece::<u128>(source, target, n - 16);
        } else if n >= 8 {
            piece::<u64>(source, target, 0);
            piece::<u64>(source, target, n - 8);
        } else if n >= 4 {
            piece::<u32>(source, target, 0);
            piece::<u32>(source, target, n - 4);
        } else {
            for at in 0..n {
                piece::<u8>(source, target, at);
            }
        }
        to.set_len(to.len() + n);
    }
}

#[inline]
unsafe fn piece<T>(source: *const u8, target: *mut u8, at: usize) {
    let value = (source.add(at) as *const T).read_unaligned();
    (target.add(at) as *mut T).write_unaligned(value);
}

/// The rows that cannot be used: a first error each.
#[derive(Default)]
pub(crate) struct RowErrors {
    pub rows: Vec<u32>,
    pub texts: [Texts; 3], // code, column, message
    seen: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Texts {
    pub offsets: Vec<i32>,
    pub bytes: Vec<u8>,
}

impl RowErrors {
    fn clear(&mut self) {
        self.rows.clear();
        self.seen.clear();
        for t in &mut self.texts {
            t.bytes.clear();
            t.offsets.clear();
            t.offsets.push(0);
        }
    }

    fn add(&mut self, row: usize, code: &str, column: &str, message: &str) {
        if row >> 3 >= self.seen.len() {
            self.seen.resize((row >> 3) + 1, 0);
        }
        if self.seen[row >> 3] >> (row & 7) & 1 == 1 {
            return;
        }
        self.seen[row >> 3] |= 1 << (row & 7);
        self.rows.push(row as u32);
        for (t, text) in self.texts.iter_mut().zip([code, column, message]) {
            extend(&mut t.bytes, text.as_bytes());
            t.offsets.push(t.bytes.len() as i32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_are_appended() {
        let source: Vec<u8> = (0..100).collect();
        let (mut got, mut want) = (vec![], vec![]);
        for n in 0..100 {
            extend(&mut got, &source[..n]);
            want.extend_from_slice(&source[..n]);
        }
        assert_eq!(got, want);
    }

    #[test]
    fn a_column_is_built_by_one_builder_at_a_time_and_continued_by_the_next() {
        let mut all = Outputs::new(vec![vec![Column::long("n"), Column::string("s")]]);
        all.begin(3);
        let out = all.main();
        let mut n = out.long("n").unwrap();
        assert!(out.long("n").is_err());
        n.set(0, 7);
        drop(n);
        out.long("n").unwrap().set(2, 9);
        out.string("s").unwrap().set(1, "x");
        let mut slot = all.streams[0].slots[0].borrow_mut();
        assert_eq!((i64::unwrap(take(&mut slot.numbers)), slot.valid[0]), (vec![7, 0, 9], 0b101));
        assert_eq!(all.streams[0].slots[1].borrow().offsets, [0, 0, 1]);
    }

    #[test]
    fn changes_are_ignored_until_an_action_is_set() {
        let mut all = Outputs::new(vec![vec![Column::long("n")]]);
        all.begin(3);
        all.main().action(0, Action::Delete);
        assert!(all.take_failure().is_err(), "an action of a transform");
        all.begin(3);
        all.begin_actions();
        all.main().action(1, Action::NewVersion);
        all.main().action(2, Action::Delete);
        assert_eq!(all.actions.borrow().as_deref(), Some(&[0, 2, 3][..]));
        all.main().action(3, Action::Overwrite);
        assert_eq!(all.take_failure(), Err(Error::new("row 3 is outside the batch of 3 rows")));
    }

    #[test]
    fn row_errors_may_be_about_other_rows_than_the_output_has() {
        let mut all = Outputs::new(vec![vec![Column::long("n")]]);
        all.begin(1);
        all.begin_errors(3);
        all.main().row_error(2, "code", "", "");
        assert_eq!(all.take_failure(), Ok(()));
        all.main().row_error(3, "code", "", "");
        assert_eq!(all.take_failure(), Err(Error::new("row 3 is outside the batch of 3 rows")));
        assert_eq!(all.errors.borrow().rows, [2]);
    }

    #[test]
    fn rows_outside_the_batch_fail_it() {
        let mut all = Outputs::new(vec![vec![Column::long("n"), Column::boolean("b"), Column::string("s")]]);
        for case in 0..5 {
            all.begin(3);
            let out = all.main();
            match case {
                0 => out.long("n").unwrap().set(3, 1),
                1 => out.boolean("b").unwrap().set(3, true),
                2 => out.string("s").unwrap().set(3, ""),
                3 => out.drop_row(3),
                _ => out.row_error(3, "", "", ""),
            }
            assert_eq!(all.take_failure(), Err(Error::new("row 3 is outside the batch of 3 rows")), "case {}", case);
        }
    }
}
