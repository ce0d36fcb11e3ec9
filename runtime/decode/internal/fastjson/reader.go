package fastjson

import "github.com/calvelake/calve/runtime/decode/internal/vector"

// Reader reads documents into the rows of one Set at a time. It is not safe for
// concurrent use.
type Reader struct {
	plan      *Plan
	knownOnly bool
	root      *object
	set       *vector.Set

	text    text
	buffer  []byte // the document and its padding
	length  int    // of the document
	slack   int    // what a string column has free before a string is read
	objects uint64 // begun so far, over all documents
	unread  slot   // stands for names beyond maxLearned

	// Unknown counts the members, of the documents read since Plan.Reader, that
	// no field reads: of the document itself, of objects on the way to a field and
	// of structs.
	Unknown int64
	unknown int64 // those of the present document

	change  *change // nil unless documents are change events
	minute  minute
	scratch []byte
}

// Reader returns a reader of the plan that writes to a set; Close gives it back.
func (p *Plan) Reader(set *vector.Set) *Reader {
	r, ok := p.readers.Get().(*Reader)
	if !ok {
		r, _ = p.newReader() // NewPlan has made one without error
	}
	r.set, r.Unknown = set, 0
	r.root.bind(set.Columns)
	return r
}

// Close returns the reader to its plan. The set is no longer referred to.
func (r *Reader) Close() {
	r.root.release(r.set.Row)
	r.set = nil
	if cap(r.buffer) > maxKept {
		r.buffer = nil
	}
	r.plan.readers.Put(r)
}

// maxKept bounds the buffer that a reader keeps for other batches.
const maxKept = 1 << 20

// bind gives the slots of fields their vectors.
func (o *object) bind(columns []*vector.Vector) {
	for _, s := range o.slots[:o.members] {
		s.bind(columns)
	}
}

func (s *slot) bind(columns []*vector.Vector) {
	switch s.op {
	case opObject:
		s.object.bind(columns)
		return
	case opSeveral, opMarkAfter:
		for _, part := range s.parts {
			part.bind(columns)
		}
		return
	}
	if s.op >= opMarkBefore {
		return
	}
	s.vector = columns[s.column]
	switch s.op {
	case opStruct:
		s.object.bind(s.vector.Kids)
	case opList:
		s.element.bind(s.vector.Kids)
	case opString, opText:
		// As much as the last batch had, so that nothing is copied on the way.
		if n := s.width * s.vector.Cap; n > cap(s.vector.Data) {
			s.vector.Data = append(vector.Room(n+n/8+padding), s.vector.Data...)
		}
	}
}

// release forgets the vectors, of which rows were written.
func (o *object) release(rows int) {
	for _, s := range o.slots[:o.members] {
		s.release(rows)
	}
}

func (s *slot) release(rows int) {
	switch s.op {
	case opObject:
		s.object.release(rows)
		return
	case opSeveral, opMarkAfter:
		for _, part := range s.parts {
			part.release(rows)
		}
		return
	case opStruct:
		s.object.release(rows)
	case opList:
		s.element.release(0)
	case opString, opText:
		if rows > 0 {
			s.width = min((len(s.vector.Data)+rows-1)/rows, maxWidth)
		}
	}
	s.vector = nil
}

// maxWidth bounds the bytes of a row that are reserved for a string.
const maxWidth = 1 << 12

// Read writes the document to the set's present row of every column of the
// plan, or returns false and leaves nothing there.
func (r *Reader) Read(document []byte) bool {
	r.load(document)
	row := r.set.Row
	r.unknown = 0
	i := r.space(0)
	if r.text.byte(i) == '{' {
		if i = r.members(r.root, i+1, row, 0); i >= 0 && r.space(i) == r.length {
			r.Unknown += r.unknown
			return true
		}
	}
	r.rollback(row)
	return false
}

// load copies a document to the padded buffer.
func (r *Reader) load(document []byte) {
	n := len(document)
	if cap(r.buffer) < n+padding {
		r.buffer = make([]byte, n+n/2+2*padding)
		r.text = newText(r.buffer)
	}
	b := r.buffer[:n+padding]
	copy(b, document)
	*(*[padding]byte)(b[n:]) = [padding]byte{}
	r.length, r.slack = n, n+16
}

func (r *Reader) rollback(row int) {
	for i := range r.plan.fields {
		r.set.Columns[r.plan.fields[i].Column].Rollback(row)
	}
}

// space returns the index of the first byte from i that is not white space.
func (r *Reader) space(i int) int {
	for {
		switch r.text.byte(i) {
		case ' ', '\n', '\t', '\r':
			i++
		default:
			return i
		}
	}
}

// free makes room for a string of the document in a string column.
func (r *Reader) free(v *vector.Vector) room {
	if cap(v.Data)-len(v.Data) < r.slack {
		grown := make([]byte, len(v.Data), 2*cap(v.Data)+r.slack)
		copy(grown, v.Data)
		v.Data = grown
	}
	return roomOf(v.Data)
}
