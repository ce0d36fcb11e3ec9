package cdata

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"fmt"

	"github.com/calvelake/calve/sdk/abi"
)

// Reader reads what a guest returned. The guest must not run meanwhile.
type Reader struct {
	Memory []byte
	// Budget is how many more bytes of columns may be read. A buffer that
	// several columns share counts each time.
	Budget int64
	// Input is the columns that the guest was given, if it may pass them
	// through: what is still as it was written is not copied out again.
	Input Input
}

// region is n bytes at an address, or an error that names what.
func (r *Reader) region(address uint32, n int64, what string) ([]byte, error) {
	if n < 0 || int64(address)+n > int64(len(r.Memory)) {
		return nil, invalid("%s: %d bytes at 0x%x are outside the memory of %d bytes", what, n, address, len(r.Memory))
	}
	return r.Memory[address : int64(address)+n : int64(address)+n], nil
}

// aligned is region for values of some width.
func (r *Reader) aligned(address uint32, n int64, align uint32, what string) ([]byte, error) {
	if address%align != 0 {
		return nil, invalid("%s: the address 0x%x is not aligned to %d bytes", what, address, align)
	}
	return r.region(address, n, what)
}

func (r *Reader) spend(n int64) error {
	if r.Budget -= n; r.Budget < 0 {
		return fmt.Errorf("%w: it returned more bytes than the limit allows", ErrOutputLimit)
	}
	return nil
}

func u32(b []byte, offset int) uint32 { return binary.LittleEndian.Uint32(b[offset:]) }

func i64(b []byte, offset int) int64 { return int64(binary.LittleEndian.Uint64(b[offset:])) }

// Result is what a call returned.
type Result struct {
	Status    uint32
	Message   string
	Outputs   []Output
	RowErrors uint32 // ArrowArray*, 0 = none
}

// Output is one output of a result.
type Output struct {
	Stream    uint32
	Schema    uint32 // ArrowSchema*, 0 = as announced
	Array     uint32 // ArrowArray*
	Selection uint32 // bitmap, 0 = all rows
	Rows      uint32 // int32 of each row, 0 = one to one
}

// Result reads the result struct at an address.
func (r *Reader) Result(address uint32) (Result, error) {
	s, err := r.aligned(address, abi.ResultSize, 4, "result")
	if err != nil {
		return Result{}, err
	}
	res := Result{Status: u32(s, abi.ResultStatus), RowErrors: u32(s, abi.ResultRowErrors)}
	if res.Message, err = r.message(u32(s, abi.ResultMessagePtr), u32(s, abi.ResultMessageLen)); err != nil {
		return Result{}, err
	}
	n := u32(s, abi.ResultNOutputs)
	if n > abi.MaxStreams {
		return Result{}, invalid("result: %d outputs, at most %d are allowed", n, abi.MaxStreams)
	}
	if n == 0 {
		return res, nil
	}
	outputs, err := r.aligned(u32(s, abi.ResultOutputs), int64(n)*abi.OutputSize, 4, "outputs")
	if err != nil {
		return Result{}, err
	}
	for o := range int(n) {
		b := outputs[o*abi.OutputSize:]
		res.Outputs = append(res.Outputs, Output{
			Stream: u32(b, abi.OutputStream), Schema: u32(b, abi.OutputSchema), Array: u32(b, abi.OutputArray),
			Selection: u32(b, abi.OutputSelection), Rows: u32(b, abi.OutputRows),
		})
	}
	return res, nil
}

func (r *Reader) message(address, n uint32) (string, error) {
	if n == 0 {
		return "", nil
	}
	b, err := r.region(address, int64(n), "message")
	if err != nil {
		return "", err
	}
	return clean(b, abi.MaxMessageBytes), nil
}

// Text reads UTF-8 at an address, as calve_describe and the imports pass it. It
// is cut at most bytes, and what is not UTF-8 is replaced.
func Text(memory []byte, address, n uint32, most int) (string, bool) {
	end := uint64(address) + uint64(n)
	if end > uint64(len(memory)) {
		return "", false
	}
	return clean(memory[address:end], most), true
}

// clean cuts text and makes it valid UTF-8.
func clean(b []byte, most int) string {
	if len(b) > most {
		b = b[:most]
		start := len(b) - 1
		for start > len(b)-utf8.UTFMax && start > 0 && !utf8.RuneStart(b[start]) {
			start--
		}
		if !utf8.FullRune(b[start:]) { // it lost its end
			b = b[:start]
		}
	}
	return string(bytes.ToValidUTF8(b, []byte("\uFFFD")))
}

// text reads NUL-terminated UTF-8 of at most abi.MaxNameBytes.
func (r *Reader) text(address uint32, what string) (string, error) {
	if int64(address) >= int64(len(r.Memory)) || address == 0 {
		return "", invalid("%s: no text at 0x%x", what, address)
	}
	b := r.Memory[address:min(int64(address)+abi.MaxNameBytes+1, int64(len(r.Memory)))]
	n := bytes.IndexByte(b, 0)
	if n < 0 {
		return "", invalid("%s: text longer than %d bytes", what, abi.MaxNameBytes)
	}
	if !utf8.Valid(b[:n]) {
		return "", invalid("%s: text is not UTF-8", what)
	}
	return string(b[:n]), nil
}

// SchemaColumn is a column of an ArrowSchema. Dictionary is the type of its
// values when Column.Format is that of indexes.
type SchemaColumn struct {
	abi.Column
	Dictionary string
}

// Schema reads the struct ArrowSchema at an address: its columns.
func (r *Reader) Schema(address uint32) ([]SchemaColumn, error) {
	total := 0
	root, err := r.schemaColumn(address, 0, &total)
	if err != nil {
		return nil, err
	}
	if root.Format != "+s" || root.Dictionary != "" {
		return nil, invalid("schema: the root has format %q, it must be a struct", root.Format)
	}
	s, _ := r.aligned(address, abi.SchemaSize, 8, "schema")
	pointers, err := r.childPointers(s, abi.SchemaChildren, i64(s, abi.SchemaNChildren), "schema")
	if err != nil {
		return nil, err
	}
	columns := make([]SchemaColumn, len(pointers)/4)
	total = 0
	for i := range columns {
		if columns[i], err = r.schemaColumn(u32(pointers, 4*i), 1, &total); err != nil {
			return nil, err
		}
	}
	return columns, nil
}

func (r *Reader) childPointers(s []byte, field int, n int64, what string) ([]byte, error) {
	if n < 0 || n > abi.MaxColumns {
		return nil, invalid("%s: %d children, at most %d are allowed", what, n, abi.MaxColumns)
	}
	if n == 0 {
		return nil, nil
	}
	return r.aligned(u32(s, field), 4*n, 4, what+": children")
}

func (r *Reader) schemaColumn(address uint32, depth int, total *int) (SchemaColumn, error) {
	var c SchemaColumn
	if *total++; *total > abi.MaxColumns || depth > abi.MaxDepth+2 {
		return c, invalid("schema: more than %d columns, or nested deeper than %d", abi.MaxColumns, abi.MaxDepth)
	}
	s, err := r.aligned(address, abi.SchemaSize, 8, "schema")
	if err != nil {
		return c, err
	}
	if c.Format, err = r.text(u32(s, abi.SchemaFormat), "schema: format"); err != nil {
		return c, err
	}
	if name := u32(s, abi.SchemaName); name != 0 {
		if c.Name, err = r.text(name, "schema: name"); err != nil {
			return c, err
		}
	}
	nullable := i64(s, abi.SchemaFlags)&abi.FlagNullable != 0
	c.Nullable = &nullable
	if d := u32(s, abi.SchemaDictionary); d != 0 {
		values, err := r.schemaColumn(d, depth+1, total)
		if err != nil {
			return c, err
		}
		c.Dictionary = values.Format
	}
	pointers, err := r.childPointers(s, abi.SchemaChildren, i64(s, abi.SchemaNChildren), "schema")
	if err != nil {
		return c, err
	}
	for i := range len(pointers) / 4 {
		child, err := r.schemaColumn(u32(pointers, 4*i), depth+1, total)
		if err != nil {
			return c, err
		}
		if child.Dictionary != "" && depth > 0 {
			return c, invalid("schema: column %q: dictionaries below the top level are not supported", c.Name)
		}
		c.Children = append(c.Children, child.Column)
	}
	return c, nil
}
