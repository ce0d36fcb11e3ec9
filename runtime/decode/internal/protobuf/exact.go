package protobuf

import (
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/record"
)

// readExact writes a row by way of protobuf-go, or says why there is none.
func (r *Reader) readExact(body []byte, row int) error {
	m := dynamicpb.NewMessage(r.program.message)
	if err := unmarshal(body, m, maxDepth); err != nil {
		return &program.Error{Code: record.CodeMalformed, Column: -1,
			Found:    fmt.Sprintf("%d bytes (%s)", len(body), plain(err)),
			Expected: fmt.Sprintf("a Protobuf message %s", r.program.message.FullName())}
	}
	if err := proto.CheckInitialized(m); err != nil {
		return &program.Error{Code: record.CodeMalformed, Column: -1,
			Found:    fmt.Sprintf("%d bytes (%s)", len(body), plain(err)),
			Expected: fmt.Sprintf("a Protobuf message %s with all required fields", r.program.message.FullName())}
	}
	if err := r.exactMessage(r.program.root, m, row); err != nil {
		return err
	}
	if x := r.program.rest; x != nil {
		if err := r.exactRest(x, m, row); err != nil {
			return err
		}
	}
	return nil
}

// exactRest writes the fields of a message that no column reads.
func (r *Reader) exactRest(x *value, m protoreflect.Message, row int) *program.Error {
	if !clearRead(r.program.root, m) {
		return r.none(x, row)
	}
	return r.exactJSON(x, m, row)
}

// clearRead clears the fields that columns read, also in messages that they read
// in part, and tells whether any are left.
func clearRead(n *node, m protoreflect.Message) (left bool) {
	for _, f := range n.fields {
		switch {
		case len(f.values) == 0 || !m.Has(f.desc):
		case len(f.values) > 1 || f.values[0].shape != path || !clearRead(f.values[0].node, m.Mutable(f.desc).Message()):
			m.Clear(f.desc)
		}
	}
	m.Range(func(protoreflect.FieldDescriptor, protoreflect.Value) bool {
		left = true
		return false
	})
	return left
}

// unmarshal reads a message; required fields are for the caller to check.
// Extensions stay unknown fields, as no column can read them.
//
// protobuf-go v1.36.12 panics on the entry of a map that has its key twice, the
// second time in another wire type (proto.UnmarshalOptions.unmarshalMap). What
// makes it panic is no message.
func unmarshal(body []byte, m proto.Message, depth int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("protobuf-go cannot read it: %v", r)
		}
	}()
	return proto.UnmarshalOptions{AllowPartial: true, RecursionLimit: depth, Resolver: new(protoregistry.Types)}.Unmarshal(body, m)
}

func (r *Reader) exactMessage(n *node, m protoreflect.Message, row int) *program.Error {
	for _, f := range n.fields {
		for _, x := range f.values {
			if err := r.exactField(x, m, row); err != nil {
				return err
			}
		}
	}
	for _, x := range n.absent {
		if err := r.none(x, row); err != nil {
			return err
		}
	}
	return nil
}

// exactField writes a field of a message.
func (r *Reader) exactField(x *value, m protoreflect.Message, row int) *program.Error {
	switch {
	case x.shape == list:
		return r.exactList(x, m.Get(x.desc).List(), row)
	case x.shape == mapping:
		return r.exactMap(x, m.Get(x.desc).Map(), row)
	case !m.Has(x.desc) && (x.shape != scalar || x.desc.HasPresence()):
		return r.unset(x, row)
	case x.shape == jsonField:
		return r.exactJSONField(x, m, row)
	}
	return r.exactValue(x, m.Get(x.desc), row) // a field without presence has its zero here
}

func (r *Reader) exactList(x *value, l protoreflect.List, row int) *program.Error {
	kid := r.vectors[x.elem.vector]
	if err := r.exactSpend(x, l.Len()); err != nil {
		return err
	}
	for i := range l.Len() {
		if err := r.exactValue(x.elem, l.Get(i), kid.Append()); err != nil {
			return inside(err, fmt.Sprintf("[%d]", i), x.name)
		}
	}
	r.vectors[x.vector].End(row)
	return nil
}

// exactMap writes the entries of a map by the order of the keys, as protobuf-go
// does not keep that of the wire.
func (r *Reader) exactMap(x *value, m protoreflect.Map, row int) *program.Error {
	if err := r.exactSpend(x, m.Len()); err != nil {
		return err
	}
	keys := make([]protoreflect.MapKey, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, compareKeys)
	for _, k := range keys {
		err := r.exactValue(x.key, k.Value(), r.vectors[x.key.vector].Append())
		if err == nil {
			err = r.exactValue(x.elem, m.Get(k), r.vectors[x.elem.vector].Append())
		}
		if err != nil {
			return inside(err, fmt.Sprintf("[%s]", excerpt(k.String())), x.name)
		}
	}
	r.vectors[x.vector].End(row)
	return nil
}

func compareKeys(a, b protoreflect.MapKey) int {
	switch a := a.Interface().(type) {
	case bool:
		if a == b.Bool() {
			return 0
		}
		if a {
			return 1
		}
		return -1
	case int32, int64:
		return cmp.Compare(protoreflect.ValueOf(a).Int(), b.Int())
	case uint32, uint64:
		return cmp.Compare(protoreflect.ValueOf(a).Uint(), b.Uint())
	}
	return cmp.Compare(a.String(), b.String())
}

// exactSpend takes the memory of n elements from what a record may have.
func (r *Reader) exactSpend(x *value, n int) *program.Error {
	if r.cells += n * x.elem.width; r.cells <= maxCells {
		return nil
	}
	return &program.Error{Code: record.CodeTooLarge, Column: x.column.Index, Path: x.name,
		Found:    fmt.Sprintf("%d elements", n),
		Expected: fmt.Sprintf("at most %d values in the lists and maps of a record", maxCells)}
}

// exactValue writes one occurrence of a field.
func (r *Reader) exactValue(x *value, pv protoreflect.Value, row int) *program.Error {
	v := r.vectors[max(x.vector, 0)]
	switch x.shape {
	case scalar:
		number, text := unpack(pv)
		ok, err := x.set(v, row, number, text)
		if err != nil {
			return x.reject(err, x.found(number, text))
		}
		if !ok {
			return r.none(x, row)
		}
		return nil
	case path, structure:
		return inside(r.exactMessage(x.node, pv.Message(), row), x.name)
	case wrapper:
		return inside(r.exactField(x.elem, pv.Message(), row), x.name)
	case jsonText:
		return r.exactJSON(x, pv.Message(), row)
	}
	m := pv.Message()
	k := partsOf(m)
	if err := x.setParts(v, row, &k); err != nil {
		return x.reject(err, describeMessage(m))
	}
	return nil
}

// partsOf takes a well-known message apart.
func partsOf(m protoreflect.Message) parts {
	var k parts
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		switch number, text := unpack(m.Get(f)); f.Kind() {
		case protoreflect.StringKind, protoreflect.BytesKind:
			k.text = text
		default:
			k.numbers[f.Number()] = int64(number)
		}
	}
	return k
}
