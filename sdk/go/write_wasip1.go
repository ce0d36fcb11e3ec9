//go:build wasip1

package calve

import "unsafe"

func address[T any](p *T) uint32 { return uint32(uintptr(unsafe.Pointer(p))) }

func sliceAddress[T any](s []T) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(s)))) }

// frame holds the structs of one result. The host reads them until the next
// call, so they and what they point at stay referenced from here.
type frame struct {
	result  resultStruct
	outputs []outputStruct
	streams []table
	errors  table
	message string
}

// table is a struct array and its children.
type table struct {
	root     arrowArray
	children []arrowArray
	pointers []uint32
	buffers  [][3]uint32
	vectors  []*vector
	empty    [1]int64 // what buffers without bytes point at
}

func (f *frame) fail(status uint32, message string) uint32 {
	f.result = resultStruct{status: status, messagePtr: sliceAddress(unsafe.Slice(unsafe.StringData(message), len(message))), messageLen: uint32(len(message))}
	f.message = message
	return address(&f.result)
}

// succeed writes the outputs that the transform touched.
func (f *frame) succeed(all *outputs) (uint32, error) {
	f.outputs = resize(f.outputs, len(all.streams))[:0]
	f.streams = resize(f.streams, len(all.streams))
	for i, o := range all.streams {
		if !o.used && i != streamMain {
			continue
		}
		vectors, err := o.finish()
		if err != nil {
			return 0, err
		}
		t := &f.streams[i]
		out := outputStruct{stream: o.stream, array: t.write(vectors, o.len())}
		if o.selection != nil {
			out.selection = sliceAddress(o.selection)
		}
		if o.own {
			out.rows = t.addressOf(bytesOf(o.rows))
		}
		f.outputs = append(f.outputs, out)
	}
	f.result = resultStruct{status: statusOK, nOutputs: uint32(len(f.outputs)), outputs: sliceAddress(f.outputs)}
	if n := len(all.errors.rows); n > 0 {
		columns, err := all.errors.finish()
		if err != nil {
			return 0, err
		}
		f.result.rowErrors = f.errors.write(columns[:], n)
	}
	return address(&f.result), nil
}

// write lays out a struct array of those columns and returns its address.
func (t *table) write(vectors []*vector, rows int) uint32 {
	t.vectors = vectors
	t.children = resize(t.children, len(vectors))
	t.pointers = resize(t.pointers, len(vectors))
	t.buffers = resize(t.buffers, len(vectors))
	for i, v := range vectors {
		if v.source != 0 {
			t.pointers[i] = v.source
			continue
		}
		t.pointers[i] = address(&t.children[i])
		t.writeColumn(i, v)
	}
	noBuffers := t.empty[:1]
	t.root = arrowArray{
		length: int64(rows), nBuffers: 1, nChildren: int64(len(vectors)),
		buffers: sliceAddress(noBuffers), children: sliceAddress(t.pointers),
	}
	return address(&t.root)
}

func (t *table) writeColumn(i int, v *vector) {
	b := &t.buffers[i]
	*b = [3]uint32{}
	a := arrowArray{length: int64(v.length), nBuffers: 2, buffers: sliceAddress(b[:])}
	if v.valid != nil {
		a.nullCount = -1
		b[0] = t.addressOf(v.valid)
	}
	if v.column.Format == "u" || v.column.Format == "z" {
		a.nBuffers = 3
		b[1], b[2] = sliceAddress(v.offsets), t.addressOf(v.data)
	} else {
		b[1] = t.addressOf(v.data)
	}
	t.children[i] = a
}

// addressOf is never 0: a buffer without bytes points at something all the same.
func (t *table) addressOf(b []byte) uint32 {
	if len(b) == 0 {
		return sliceAddress(t.empty[:])
	}
	return sliceAddress(b)
}
