package cdata

import (
	"encoding/binary"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/sdk/abi"
)

// base is where the images of the tests begin, so that address 0 is none.
const base = 4096

// image is guest memory with an output in it, written by the encoder, to be
// spoiled.
type image struct {
	memory []byte
	batch  arrow.RecordBatch
	output Output
	input  Input // of the batch, whose columns the output passes through
}

// newImage is the memory of a guest that returns rows as they are.
func newImage(rows arrow.RecordBatch) *image {
	b := Batch{Rows: rows}
	size := BatchBytes(b)
	im := &image{memory: make([]byte, base+size+256), batch: rows}
	batch, input := WriteBatch(im.memory[base:base+size], base, b)
	im.input = input
	im.output = Output{Array: u32(im.memory, int(batch)+abi.BatchArray)}
	return im
}

// add appends bytes to the memory and returns their address, aligned to 8.
func (im *image) add(b []byte) uint32 {
	for len(im.memory)%8 != 0 {
		im.memory = append(im.memory, 0)
	}
	im.memory = append(im.memory, b...)
	return uint32(len(im.memory) - len(b))
}

func (im *image) put32(address uint32, v uint32) {
	binary.LittleEndian.PutUint32(im.memory[address:], v)
}

func (im *image) put64(address uint32, v int64) {
	binary.LittleEndian.PutUint64(im.memory[address:], uint64(v))
}

// child is the address of the ArrowArray of child i of another.
func (im *image) child(array uint32, i int) uint32 {
	return u32(im.memory, int(u32(im.memory, int(array)+abi.ArrayChildren))+4*i)
}

// column is the address of column i of the output.
func (im *image) column(i int) uint32 { return im.child(im.output.Array, i) }

// bufferAt is the address of the pointer to a buffer of an array.
func (im *image) bufferAt(array uint32, i int) uint32 {
	return u32(im.memory, int(array)+abi.ArrayBuffers) + uint32(4*i)
}

// buffer is the address of a buffer of an array.
func (im *image) buffer(array uint32, i int) uint32 {
	return u32(im.memory, int(im.bufferAt(array, i)))
}

func (im *image) read(w Want) (Table, error) {
	if w.Schema == nil {
		w.Schema = im.batch.Schema()
	}
	if w.Input == 0 {
		w.Input = int(im.batch.NumRows())
	}
	if w.MaxRows == 0 {
		w.MaxRows = 1 << 20
	}
	r := &Reader{Memory: im.memory, Budget: 1 << 20}
	return r.Table(im.output, w)
}

func nullable(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// sampleSchema has a column of each layout.
func sampleSchema() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		nullable("n", arrow.PrimitiveTypes.Int64),
		nullable("s", arrow.BinaryTypes.String),
		nullable("b", arrow.FixedWidthTypes.Boolean),
		nullable("d", &arrow.Decimal128Type{Precision: 5, Scale: 2}),
		nullable("l", arrow.ListOfField(nullable("element", arrow.BinaryTypes.String))),
		nullable("t", arrow.StructOf(nullable("x", arrow.PrimitiveTypes.Int32))),
		nullable("m", arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64)),
	}, nil)
}

const (
	colN = iota
	colS
	colB
	colD
	colL
	colT
	colM
)

// sample is four rows of sampleSchema; row 1 is null throughout.
func sample() arrow.RecordBatch {
	rows := `[
		{"n": 1, "s": "one", "b": true, "d": "1.50", "l": ["a", "bc"], "t": {"x": 7}, "m": [{"key": "k", "value": 1.5}]},
		{"n": null, "s": null, "b": null, "d": null, "l": null, "t": null, "m": null},
		{"n": 3, "s": "drei €", "b": false, "d": "-3.00", "l": [], "t": {"x": null}, "m": []},
		{"n": 4, "s": "", "b": true, "d": "999.99", "l": [null, "d"], "t": {"x": 9}, "m": [{"key": "p", "value": null}, {"key": "q", "value": 2}]}
	]`
	return fromJSON(sampleSchema(), rows)
}

func fromJSON(schema *arrow.Schema, rows string) arrow.RecordBatch {
	r, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
	if err != nil {
		panic(err)
	}
	return r
}
