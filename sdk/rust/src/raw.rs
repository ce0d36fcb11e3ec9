//! The structs of the ABI, and memory at the addresses that they hold.
//!
//! Addresses are `u32`, as on wasm32; nothing here is called on other targets.

use crate::column::Column;

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct ArrowArray {
    pub length: i64,
    pub null_count: i64,
    pub offset: i64,
    pub n_buffers: i64,
    pub n_children: i64,
    pub buffers: u32,
    pub children: u32,
    pub dictionary: u32,
    pub release: u32,
    pub private_data: u32,
    pub pad: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct ArrowSchema {
    pub format: u32,
    pub name: u32,
    pub metadata: u32,
    pub pad: u32,
    pub flags: i64,
    pub n_children: i64,
    pub children: u32,
    pub dictionary: u32,
    pub release: u32,
    pub private_data: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct BatchStruct {
    pub size: u32,
    pub array: u32,
    pub state: u32,
    pub flags: u32,
    pub id: i64,
    pub watermark: i64,
    pub reserved: i64,
    pub meta: u32,
    pub pad: u32,
    pub more: [i64; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct ResultStruct {
    pub status: u32,
    pub n_outputs: u32,
    pub outputs: u32,
    pub row_errors: u32,
    pub message: u32,
    pub message_size: u32,
    pub reserved: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct OutputStruct {
    pub stream: u32,
    pub schema: u32,
    pub array: u32,
    pub selection: u32,
    pub rows: u32,
    pub flags: u32,
}

/// The address of a value.
pub(crate) fn address<T: ?Sized>(of: &T) -> u32 {
    of as *const T as *const u8 as usize as u32
}

/// A struct that the host wrote.
///
/// # Safety
/// The address is one that the host passed, of a `T`, and `'a` ends with the call.
pub(crate) unsafe fn at<'a, T>(address: u32) -> &'a T {
    &*(address as usize as *const T)
}

/// Values that the host wrote; none at address 0.
///
/// # Safety
/// As for [`at`], for `n` values.
pub(crate) unsafe fn slice_at<'a, T>(address: u32, n: usize) -> &'a [T] {
    if address == 0 || n == 0 {
        return &[];
    }
    core::slice::from_raw_parts(address as usize as *const T, n)
}

/// A struct that the host lets the guest change.
///
/// # Safety
/// As for [`at`], and nothing else reads or changes it meanwhile.
pub(crate) unsafe fn at_mut<'a, T>(address: u32) -> &'a mut T {
    &mut *(address as usize as *mut T)
}

/// Values that the host lets the guest change; none at address 0.
///
/// # Safety
/// As for [`at_mut`], for `n` values.
pub(crate) unsafe fn slice_at_mut<'a, T>(address: u32, n: usize) -> &'a mut [T] {
    if address == 0 || n == 0 {
        return &mut [];
    }
    core::slice::from_raw_parts_mut(address as usize as *mut T, n)
}

/// # Safety
/// The address is that of terminated text.
unsafe fn text_at(address: u32) -> String {
    let start = address as usize as *const u8;
    let n = (0..).find(|&i| *start.add(i) == 0).unwrap_or(0);
    String::from_utf8_lossy(core::slice::from_raw_parts(start, n)).into_owned()
}

/// The columns below an ArrowSchema.
///
/// # Safety
/// The address is that of an ArrowSchema of the host.
pub(crate) unsafe fn columns_at(schema: u32) -> Vec<Column> {
    let s: &ArrowSchema = at(schema);
    let children: &[u32] = slice_at(s.children, s.n_children as usize);
    let column = |&child: &u32| {
        let c: &ArrowSchema = at(child);
        Column {
            name: text_at(c.name),
            format: text_at(c.format),
            required: c.flags & i64::from(crate::abi::FLAG_NULLABLE) == 0,
            children: columns_at(child),
            initial: None,
        }
    };
    children.iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi;
    use core::mem::size_of;

    macro_rules! offset {
        ($type:ty, $field:ident) => {{
            let value = <$type>::default();
            (core::ptr::addr_of!(value.$field) as usize - core::ptr::addr_of!(value) as usize) as u32
        }};
    }

    #[test]
    fn structs_have_the_layout_of_the_abi() {
        assert_eq!(size_of::<ArrowArray>() as u32, abi::ARRAY_SIZE);
        assert_eq!(offset!(ArrowArray, length), abi::ARRAY_LENGTH);
        assert_eq!(offset!(ArrowArray, null_count), abi::ARRAY_NULL_COUNT);
        assert_eq!(offset!(ArrowArray, offset), abi::ARRAY_OFFSET);
        assert_eq!(offset!(ArrowArray, n_buffers), abi::ARRAY_N_BUFFERS);
        assert_eq!(offset!(ArrowArray, n_children), abi::ARRAY_N_CHILDREN);
        assert_eq!(offset!(ArrowArray, buffers), abi::ARRAY_BUFFERS);
        assert_eq!(offset!(ArrowArray, children), abi::ARRAY_CHILDREN);
        assert_eq!(offset!(ArrowArray, dictionary), abi::ARRAY_DICTIONARY);
        assert_eq!(offset!(ArrowArray, release), abi::ARRAY_RELEASE);
        assert_eq!(offset!(ArrowArray, private_data), abi::ARRAY_PRIVATE_DATA);
        assert_eq!(size_of::<ArrowSchema>() as u32, abi::SCHEMA_SIZE);
        assert_eq!(offset!(ArrowSchema, format), abi::SCHEMA_FORMAT);
        assert_eq!(offset!(ArrowSchema, name), abi::SCHEMA_NAME);
        assert_eq!(offset!(ArrowSchema, metadata), abi::SCHEMA_METADATA);
        assert_eq!(offset!(ArrowSchema, flags), abi::SCHEMA_FLAGS);
        assert_eq!(offset!(ArrowSchema, n_children), abi::SCHEMA_N_CHILDREN);
        assert_eq!(offset!(ArrowSchema, children), abi::SCHEMA_CHILDREN);
        assert_eq!(offset!(ArrowSchema, dictionary), abi::SCHEMA_DICTIONARY);
        assert_eq!(offset!(ArrowSchema, release), abi::SCHEMA_RELEASE);
        assert_eq!(offset!(ArrowSchema, private_data), abi::SCHEMA_PRIVATE_DATA);
        assert_eq!(size_of::<BatchStruct>() as u32, abi::BATCH_SIZE);
        assert_eq!(offset!(BatchStruct, size), abi::BATCH_STRUCT_SIZE);
        assert_eq!(offset!(BatchStruct, array), abi::BATCH_ARRAY);
        assert_eq!(offset!(BatchStruct, state), abi::BATCH_STATE);
        assert_eq!(offset!(BatchStruct, flags), abi::BATCH_FLAGS);
        assert_eq!(offset!(BatchStruct, id), abi::BATCH_ID);
        assert_eq!(offset!(BatchStruct, watermark), abi::BATCH_WATERMARK);
        assert_eq!(offset!(BatchStruct, reserved), abi::BATCH_RESERVED);
        assert_eq!(offset!(BatchStruct, meta), abi::BATCH_META);
        assert_eq!(size_of::<ResultStruct>() as u32, abi::RESULT_SIZE);
        assert_eq!(offset!(ResultStruct, status), abi::RESULT_STATUS);
        assert_eq!(offset!(ResultStruct, n_outputs), abi::RESULT_N_OUTPUTS);
        assert_eq!(offset!(ResultStruct, outputs), abi::RESULT_OUTPUTS);
        assert_eq!(offset!(ResultStruct, row_errors), abi::RESULT_ROW_ERRORS);
        assert_eq!(offset!(ResultStruct, message), abi::RESULT_MESSAGE_PTR);
        assert_eq!(offset!(ResultStruct, message_size), abi::RESULT_MESSAGE_LEN);
        assert_eq!(size_of::<OutputStruct>() as u32, abi::OUTPUT_SIZE);
        assert_eq!(offset!(OutputStruct, stream), abi::OUTPUT_STREAM);
        assert_eq!(offset!(OutputStruct, schema), abi::OUTPUT_SCHEMA);
        assert_eq!(offset!(OutputStruct, array), abi::OUTPUT_ARRAY);
        assert_eq!(offset!(OutputStruct, selection), abi::OUTPUT_SELECTION);
        assert_eq!(offset!(OutputStruct, rows), abi::OUTPUT_ROWS);
        assert_eq!(offset!(OutputStruct, flags), abi::OUTPUT_FLAGS);
    }
}
