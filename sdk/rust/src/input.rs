use crate::abi;
use crate::column::Column;
use crate::error::{Error, Result};
use crate::raw::{at, slice_at, ArrowArray, BatchStruct};

/// The input of a transform. Its columns are those of the model, in order; asking
/// for one that is not there, or as another type, is an error that names it.
pub struct Batch<'a> {
    rows: usize,
    columns: Vec<Values<'a>>,
    meta: Option<Vec<Values<'a>>>,
    watermark: i64,
    present: Valid<'a>, // of versions in force
}

/// A column of the input as a whole, to be passed through.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    pub(crate) column: &'a Column,
    pub(crate) source: u32, // address of its ArrowArray
    rows: usize,
    valid: Valid<'a>,
    buffers: [u32; 3],
}

/// Which rows are not null: a bit a row; none where there are no nulls.
#[derive(Clone, Copy)]
struct Valid<'a>(&'a [u8]);

impl Valid<'_> {
    #[inline]
    fn get(self, i: usize) -> bool {
        self.0.is_empty() || self.0[i >> 3] >> (i & 7) & 1 == 1
    }
}

impl<'a> Batch<'a> {
    /// # Safety
    /// The struct and what it points at are the host's, and `'a` ends with the
    /// call.
    pub(crate) unsafe fn at(batch: &BatchStruct, columns: &'a [Column], meta: &'a [Column]) -> Batch<'a> {
        let array: &ArrowArray = at(batch.array);
        Batch {
            rows: array.length as usize,
            columns: values_at(columns, array),
            meta: (batch.meta != 0).then(|| values_at(meta, at(batch.meta))),
            watermark: batch.watermark,
            present: Valid(&[]),
        }
    }

    /// The rows beside those of a call: state, or versions in force.
    ///
    /// # Safety
    /// As for [`Batch::at`]; the address is that of a struct array.
    pub(crate) unsafe fn beside(array: u32, columns: &'a [Column]) -> Batch<'a> {
        let array: &ArrowArray = at(array);
        let rows = array.length as usize;
        let present = slice_at::<u32>(array.buffers, 1).first().map_or(0, |&b| b);
        Batch {
            rows,
            columns: values_at(columns, array),
            meta: None,
            watermark: abi::NO_WATERMARK,
            present: Valid(slice_at(present, (rows + 7) / 8)),
        }
    }

    /// The number of rows.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Tells whether row i is there: of the versions in force, those that there
    /// are; of other batches, all.
    #[inline]
    pub fn has(&self, i: usize) -> bool {
        self.present.get(i)
    }

    /// The model's event time watermark in microseconds since 1970-01-01 UTC.
    pub fn watermark(&self) -> Option<i64> {
        (self.watermark != abi::NO_WATERMARK).then_some(self.watermark)
    }

    /// A column of any type.
    pub fn column(&self, name: &str) -> Result<Values<'a>> {
        self.find(name, "")
    }

    pub fn boolean(&self, name: &str) -> Result<Booleans<'a>> {
        let v = self.find(name, "b")?;
        Ok(Booleans { bits: v.data(v.rows.div_euclid(8) + usize::from(v.rows % 8 > 0)), valid: v.valid })
    }

    pub fn int(&self, name: &str) -> Result<Numbers<'a, i32>> {
        Ok(self.find(name, "i")?.numbers())
    }

    pub fn long(&self, name: &str) -> Result<Numbers<'a, i64>> {
        Ok(self.find(name, "l")?.numbers())
    }

    pub fn float(&self, name: &str) -> Result<Numbers<'a, f32>> {
        Ok(self.find(name, "f")?.numbers())
    }

    pub fn double(&self, name: &str) -> Result<Numbers<'a, f64>> {
        Ok(self.find(name, "g")?.numbers())
    }

    /// Unscaled values: 1234 with scale 2 is 12.34.
    pub fn decimal(&self, name: &str) -> Result<Numbers<'a, i128>> {
        Ok(self.find(name, "d:")?.numbers())
    }

    /// In days since 1970-01-01.
    pub fn date(&self, name: &str) -> Result<Numbers<'a, i32>> {
        Ok(self.find(name, "tdD")?.numbers())
    }

    /// In microseconds since 1970-01-01 (UTC for timestamptz).
    pub fn timestamp(&self, name: &str) -> Result<Numbers<'a, i64>> {
        Ok(self.find(name, "tsu:")?.numbers())
    }

    pub fn string(&self, name: &str) -> Result<Strings<'a>> {
        Ok(Strings(self.find(name, "u")?.binaries()))
    }

    pub fn binary(&self, name: &str) -> Result<Binaries<'a>> {
        Ok(self.find(name, "z")?.binaries())
    }

    /// Which Kafka record a row came from. A batch that did not come from Kafka
    /// has none.
    pub fn position(&self, row: usize) -> Option<Position<'a>> {
        let meta = self.meta.as_ref()?;
        let column = |i: u32| &meta[i as usize];
        Some(Position {
            topic: Strings(column(abi::META_TOPIC).binaries()).at(row),
            partition: column(abi::META_PARTITION).numbers::<i32>().at(row),
            offset: column(abi::META_OFFSET).numbers::<i64>().at(row),
            timestamp: column(abi::META_TIMESTAMP).numbers::<i64>().at(row),
        })
    }

    /// The groups that rows belong to.
    pub(crate) fn groups(&self) -> Result<&'a [u32]> {
        Ok(self.find(abi::COLUMN_GROUP, "I")?.numbers().values)
    }

    pub(crate) fn columns(&self) -> &[Values<'a>] {
        &self.columns
    }

    pub(crate) fn find(&self, name: &str, format: &str) -> Result<Values<'a>> {
        match self.columns.iter().find(|v| v.column.name == name) {
            Some(v) if v.column.format.starts_with(format) => Ok(*v),
            Some(v) => Err(Error::new(format!(
                "input column \"{}\" has format \"{}\", not \"{}\"",
                name, v.column.format, format
            ))),
            None => {
                let names: Vec<_> = self.columns.iter().map(|v| v.column.name.as_str()).collect();
                Err(Error::new(format!("no input column \"{}\", the input has {}", name, names.join(", "))))
            }
        }
    }
}

unsafe fn values_at<'a>(columns: &'a [Column], array: &ArrowArray) -> Vec<Values<'a>> {
    let children: &[u32] = slice_at(array.children, columns.len());
    columns.iter().zip(children).map(|(column, &child)| Values::at(column, child)).collect()
}

impl<'a> Values<'a> {
    unsafe fn at(column: &'a Column, source: u32) -> Values<'a> {
        let array: &ArrowArray = at(source);
        let rows = array.length as usize;
        let mut buffers = [0; 3];
        for (to, from) in buffers.iter_mut().zip(slice_at(array.buffers, array.n_buffers as usize)) {
            *to = *from;
        }
        Values { column, source, rows, valid: Valid(slice_at(buffers[0], (rows + 7) / 8)), buffers }
    }

    pub(crate) fn buffer(&self, i: usize) -> u32 {
        self.buffers[i]
    }

    /// The buffer of values. The host made it of the column's type, which the
    /// callers have compared with theirs.
    fn data<T>(&self, n: usize) -> &'a [T] {
        unsafe { slice_at(self.buffers[1], n) }
    }

    fn numbers<T>(&self) -> Numbers<'a, T> {
        Numbers { values: self.data(self.rows), valid: self.valid }
    }

    fn binaries(&self) -> Binaries<'a> {
        let offsets: &[i32] = self.data(self.rows + 1);
        let size = offsets.last().map_or(0, |&n| n as usize);
        Binaries { offsets, bytes: unsafe { slice_at(self.buffers[2], size) }, valid: self.valid }
    }
}

/// The place of a Kafka record. `timestamp` is in microseconds since 1970-01-01
/// UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: i64,
}

/// A column of numbers, decimals, dates or timestamps.
#[derive(Clone, Copy)]
pub struct Numbers<'a, T> {
    values: &'a [T],
    valid: Valid<'a>,
}

impl<'a, T: Copy> Numbers<'a, T> {
    /// The value of row i; of a null it is unspecified.
    #[inline]
    pub fn at(&self, i: usize) -> T {
        self.values[i]
    }

    #[inline]
    pub fn is_null(&self, i: usize) -> bool {
        !self.valid.get(i)
    }

    #[inline]
    pub fn get(&self, i: usize) -> Option<T> {
        self.valid.get(i).then(|| self.values[i])
    }

    /// The value of row i, or `instead` when it is null.
    #[inline]
    pub fn or(&self, i: usize, instead: T) -> T {
        if self.valid.get(i) {
            self.values[i]
        } else {
            instead
        }
    }

    /// All rows, those of nulls unspecified.
    pub fn values(&self) -> &'a [T] {
        self.values
    }
}

/// A column of true and false.
#[derive(Clone, Copy)]
pub struct Booleans<'a> {
    bits: &'a [u8],
    valid: Valid<'a>,
}

impl Booleans<'_> {
    /// The value of row i; of a null it is unspecified.
    #[inline]
    pub fn at(&self, i: usize) -> bool {
        self.bits[i >> 3] >> (i & 7) & 1 == 1
    }

    #[inline]
    pub fn is_null(&self, i: usize) -> bool {
        !self.valid.get(i)
    }

    #[inline]
    pub fn get(&self, i: usize) -> Option<bool> {
        self.valid.get(i).then(|| self.at(i))
    }
}

/// A column of bytes.
#[derive(Clone, Copy)]
pub struct Binaries<'a> {
    offsets: &'a [i32],
    bytes: &'a [u8],
    valid: Valid<'a>,
}

impl<'a> Binaries<'a> {
    /// The bytes of row i, empty for a null.
    #[inline]
    pub fn at(&self, i: usize) -> &'a [u8] {
        if self.valid.get(i) {
            &self.bytes[self.offsets[i] as usize..self.offsets[i + 1] as usize]
        } else {
            &[]
        }
    }

    #[inline]
    pub fn is_null(&self, i: usize) -> bool {
        !self.valid.get(i)
    }

    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        self.valid.get(i).then(|| self.at(i))
    }
}

/// A column of text.
#[derive(Clone, Copy)]
pub struct Strings<'a>(Binaries<'a>);

impl<'a> Strings<'a> {
    /// The text of row i, empty for a null.
    #[inline]
    pub fn at(&self, i: usize) -> &'a str {
        // The host promises UTF-8 in columns of text.
        unsafe { core::str::from_utf8_unchecked(self.0.at(i)) }
    }

    #[inline]
    pub fn is_null(&self, i: usize) -> bool {
        self.0.is_null(i)
    }

    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a str> {
        self.0.valid.get(i).then(|| self.at(i))
    }

    /// The text of row i, or `instead` when it is null.
    #[inline]
    pub fn or<'b>(&self, i: usize, instead: &'b str) -> &'b str
    where
        'a: 'b,
    {
        if self.0.valid.get(i) {
            self.at(i)
        } else {
            instead
        }
    }
}
