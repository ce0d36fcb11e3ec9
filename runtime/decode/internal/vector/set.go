package vector

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Set is the columns of a batch.
type Set struct {
	Columns []*Vector
	Row     int // the row that is being written
	schema  *arrow.Schema
	room    int   // the least Cap of the columns, or less
	pool    *Pool // nil unless it made the set
}

// NewSet makes the columns of a schema, with room for rows, and in each string
// column for bytes.
func NewSet(schema *arrow.Schema, rows, bytes int) (*Set, error) {
	s := &Set{schema: schema}
	staggered := 0
	for _, f := range schema.Fields() {
		v, err := New(f.Type)
		if err != nil {
			return nil, err
		}
		v.stagger(&staggered)
		v.Reserve(max(rows, 1), bytes)
		s.Columns = append(s.Columns, v)
	}
	return s, nil
}

// Next goes on to the next row; all columns of the present one are written.
func (s *Set) Next() {
	s.Row++
	if s.Row >= s.room {
		s.makeRoom()
	}
}

// makeRoom makes room for the present row.
func (s *Set) makeRoom() {
	s.room = math.MaxInt
	for _, v := range s.Columns {
		if s.Row >= v.Cap {
			v.Reserve(2*v.Cap, 0)
		}
		s.room = min(s.room, v.Cap)
	}
}

// Rollback forgets what was written of the present row.
func (s *Set) Rollback() {
	for _, v := range s.Columns {
		v.Rollback(s.Row)
	}
}

// Batch returns the rows written. It owns the memory, which goes back to the
// set's pool with it: the Set must not be used any more.
func (s *Set) Batch() arrow.RecordBatch {
	var l *lease
	if s.pool != nil {
		l = &lease{set: s}
		l.buffers.Store(1) // until all are made
		defer l.Free(nil)
	}
	columns := make([]arrow.Array, len(s.Columns))
	for i, v := range s.Columns {
		data := v.data(s.Row, l)
		columns[i] = array.MakeFromData(data)
		data.Release()
		defer columns[i].Release()
	}
	return array.NewRecordBatch(s.schema, columns, int64(s.Row))
}

// data wraps the first rows rows of a vector.
func (v *Vector) data(rows int, l *lease) arrow.ArrayData {
	if v.Cap == 0 {
		v.Reserve(1, 0) // elements of lists that have none so far: one offset
	}
	var buffers []*memory.Buffer
	var kids []arrow.ArrayData
	nulls := v.nulls(rows)
	validity := (*memory.Buffer)(nil)
	if nulls > 0 {
		validity = l.buffer(v.valid[:bitutil.BytesForBits(int64(rows))])
	}
	switch v.Kind {
	case Boolean:
		buffers = l.wrap(v.Bits[:bitutil.BytesForBits(int64(rows))])
	case Int, Date:
		buffers = l.wrap(arrow.Int32Traits.CastToBytes(v.I32[:rows]))
	case Long, Timestamp:
		buffers = l.wrap(arrow.Int64Traits.CastToBytes(v.I64[:rows]))
	case Float:
		buffers = l.wrap(arrow.Float32Traits.CastToBytes(v.F32[:rows]))
	case Double:
		buffers = l.wrap(arrow.Float64Traits.CastToBytes(v.F64[:rows]))
	case Decimal:
		buffers = l.wrap(arrow.Decimal128Traits.CastToBytes(v.Decimals[:rows]))
	case String, Binary:
		buffers = l.wrap(arrow.Int32Traits.CastToBytes(v.Offsets[:rows+1]), v.Data[:v.Offsets[rows]])
	case List:
		buffers = l.wrap(arrow.Int32Traits.CastToBytes(v.Offsets[:rows+1]))
		kids = []arrow.ArrayData{v.Kids[0].data(int(v.Offsets[rows]), l)}
	case Map:
		buffers = l.wrap(arrow.Int32Traits.CastToBytes(v.Offsets[:rows+1]))
		kids = []arrow.ArrayData{v.entries(int(v.Offsets[rows]), l)}
	case Struct:
		for _, kid := range v.Kids {
			kids = append(kids, kid.data(rows, l))
		}
	}
	buffers = append([]*memory.Buffer{validity}, buffers...)
	data := array.NewData(v.Type, rows, buffers, kids, nulls, 0)
	for _, b := range buffers {
		if b != nil {
			b.Release()
		}
	}
	for _, kid := range kids {
		kid.Release()
	}
	return data
}

// entries wraps a map's keys and values.
func (v *Vector) entries(rows int, l *lease) arrow.ArrayData {
	kids := []arrow.ArrayData{v.Kids[0].data(rows, l), v.Kids[1].data(rows, l)}
	entries := array.NewData(v.Type.(*arrow.MapType).Elem(), rows, []*memory.Buffer{nil}, kids, 0, 0)
	for _, kid := range kids {
		kid.Release()
	}
	return entries
}

func (v *Vector) nulls(rows int) int {
	if v.valid == nil {
		return 0
	}
	return rows - bitutil.CountSetBits(v.valid, 0, rows)
}

func (l *lease) wrap(parts ...[]byte) []*memory.Buffer {
	buffers := make([]*memory.Buffer, len(parts))
	for i, p := range parts {
		buffers[i] = l.buffer(p)
	}
	return buffers
}
