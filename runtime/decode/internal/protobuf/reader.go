package protobuf

import (
	"errors"
	"math"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// maxDepth bounds the messages inside of one another, as the decoders of C++
// and Java do.
const maxDepth = 100

// maxCells bounds what the elements of a record take in vectors: two bytes of
// an empty message make a row of a struct, however wide.
const maxCells = 1 << 24

// ErrFull: the names and JSON texts that records were expanded to are more than
// a column can hold (2 GiB). The batch is lost.
var ErrFull = errors.New("protobuf: one batch makes more than 2 GiB of text in a column; poll fewer records at once")

// Reader writes messages to the rows of a set, each twice at most: at once, as
// it goes along the bytes, and where it meets anything that is unusual or wrong,
// again by way of protobuf-go, which decides.
type Reader struct {
	// Unknown counts the fields that no column reads: of the message itself, and
	// of messages on the path to a column. Those of rejected records are not in.
	Unknown int64

	program *Program
	set     *vector.Set
	vectors []*vector.Vector
	maps    []mapRow
	more    []uint64 // slots of messages that have more than a word of them

	padded  []byte
	depth   int
	cells   int
	unknown int64
}

// Read writes the present row of the columns. After an error, which is a
// *program.Error or ErrFull, the row is to be rolled back.
func (r *Reader) Read(body []byte) error {
	row := r.set.Row
	r.depth, r.cells, r.unknown, r.more = 0, 0, 0, r.more[:0]
	body = r.pad(body)
	if r.program.rest != nil || !r.message(r.program.root, body, row) {
		for i := range r.program.columns {
			r.set.Columns[r.program.columns[i].Index].Rollback(row)
		}
		r.cells = 0
		if err := r.readExact(body, row); err != nil {
			return err
		}
		r.unknown = countUnread(r.program.root, body)
	}
	for _, i := range r.program.expanded {
		if len(r.vectors[i].Data) > math.MaxInt32 {
			return ErrFull
		}
	}
	r.Unknown += r.unknown
	return nil
}

// maxPadded is the size of a body beyond which a copy of it does not pay.
const maxPadded = 1 << 16

// pad returns a body with room behind it, so that words can be read to its end:
// what is behind the body that was given is not the reader's to look at.
func (r *Reader) pad(body []byte) []byte {
	n := len(body)
	if n > maxPadded {
		return body[:n:n]
	}
	if cap(r.padded) < n+shortText {
		r.padded = make([]byte, 2*n+shortText)
	}
	copy(r.padded[:n], body)
	return r.padded[:n]
}

// unset writes what a field is that a message does not have.
func (r *Reader) unset(x *value, row int) *program.Error {
	switch {
	case x.shape == jsonField:
		empty := "[]"
		if x.desc.IsMap() {
			empty = "{}"
		}
		r.vectors[x.vector].SetBytes(row, []byte(empty))
		return nil
	case x.shape == scalar && x.standin:
		ok, err := x.set(r.vectors[x.vector], row, x.number, x.text)
		if err != nil {
			return x.reject(err, x.found(x.number, x.text))
		}
		if ok {
			return nil
		}
	}
	return r.none(x, row)
}

// none writes what stands for no value: the column's default, or null.
func (r *Reader) none(x *value, row int) *program.Error {
	switch {
	case x.shape == path:
		return r.noneInside(x.node, row)
	case x.fallback != nil:
		x.fallback(r.vectors[x.vector], row)
		return nil
	case x.nullable:
		r.vectors[x.vector].SetNull(row)
		return nil
	}
	return x.missing()
}

// noneInside does the same for all columns inside a message that is not there.
func (r *Reader) noneInside(n *node, row int) *program.Error {
	for _, x := range n.absent {
		if err := r.none(x, row); err != nil {
			return err
		}
	}
	for _, f := range n.fields {
		for _, x := range f.values {
			if err := r.none(x, row); err != nil {
				return err
			}
		}
	}
	return nil
}
