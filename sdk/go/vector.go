package calve

import "unsafe"

// vector is one column's memory. Which parts it has depends on the format:
// data holds fixed-width values or the bytes of strings, offsets the ends of
// strings. A column of the input also knows where the host put it.
type vector struct {
	column  Column
	length  int
	valid   bitmap // nil: no nulls
	offsets []int32
	data    []byte
	source  uint32 // address of the input's ArrowArray; 0 = built by the plugin
}

// Values is a column of the input as a whole, to be passed through.
type Values struct{ vector *vector }

// values views the data of a fixed-width column.
func values[T any](v *vector) []T {
	if v.length == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(v.data))), v.length)
}

// bitmap is the validity of a column whose rows may be set: there in any case.
func (v *vector) bitmap() bitmap {
	if v.valid == nil {
		v.valid = make(bitmap, bitmapBytes(v.length))
		v.valid.setAll(v.length)
	}
	return v.valid
}

// wordsOf views bytes, which must be aligned, as words.
func wordsOf(b []byte) []uint64 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
}

// bytesOf views numbers as bytes.
func bytesOf[T any](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
}
