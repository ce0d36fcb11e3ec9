//go:build wasip1

package calve

import "unsafe"

// at views guest memory at an address that the host passed.
func at[T any](address uint32) *T { return (*T)(unsafe.Add(nil, address)) }

// sliceAt views n values at an address, nil where there are none.
func sliceAt[T any](address uint32, n int) []T {
	if address == 0 || n == 0 {
		return nil
	}
	return unsafe.Slice(at[T](address), n)
}

func stringAt(address uint32) string {
	n := 0
	for *at[byte](address + uint32(n)) != 0 {
		n++
	}
	return string(sliceAt[byte](address, n))
}

// readColumns reads the children of an ArrowSchema.
func readColumns(schema uint32) []Column {
	s := at[arrowSchema](schema)
	columns := make([]Column, s.nChildren)
	for i, child := range sliceAt[uint32](s.children, int(s.nChildren)) {
		c := at[arrowSchema](child)
		columns[i] = Column{
			Name: stringAt(c.name), Format: stringAt(c.format),
			NotNull: c.flags&flagNullable == 0, Children: readColumns(child),
		}
	}
	return columns
}

// readVectors views the children of an ArrowArray as those columns, in into.
func readVectors(into []vector, columns []Column, array uint32) []vector {
	a := at[arrowArray](array)
	into = resize(into, len(columns))
	for i, child := range sliceAt[uint32](a.children, len(columns)) {
		readVector(&into[i], columns[i], child)
	}
	return into
}

// readVector views one column. The host writes offset 0.
func readVector(v *vector, column Column, array uint32) {
	a := at[arrowArray](array)
	n := int(a.length)
	buffers := sliceAt[uint32](a.buffers, int(a.nBuffers))
	*v = vector{column: column, length: n, source: array}
	if len(buffers) > 0 {
		v.valid = sliceAt[byte](buffers[0], bitmapBytes(n))
	}
	switch column.Format[0] {
	case 'u', 'z':
		v.offsets = sliceAt[int32](buffers[1], n+1)
		if n > 0 {
			v.data = sliceAt[byte](buffers[2], int(v.offsets[n]))
		}
	case '+':
	case 'b':
		v.data = sliceAt[byte](buffers[1], bitmapBytes(n))
	default:
		v.data = sliceAt[byte](buffers[1], n*width(column.Format))
	}
}

// width is the bytes of a value of a fixed-width format.
func width(format string) int {
	switch format[0] {
	case 'd':
		return 16
	case 'l', 'g':
		return 8
	case 't':
		if format == "tdD" {
			return 4
		}
		return 8
	}
	return 4
}
