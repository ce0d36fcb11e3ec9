package protobuf

import (
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// enumNames are the names of an enum's numbers. Of numbers with several names
// the first counts, as in protobuf's JSON.
type enumNames struct {
	low   [][]byte // of the numbers from 0 up; nil without a name
	other map[int64][]byte
}

// lowNames bounds the table by number.
const lowNames = 256

func newEnumNames(desc protoreflect.EnumDescriptor) *enumNames {
	e := &enumNames{other: map[int64][]byte{}}
	for i := range desc.Values().Len() {
		value := desc.Values().Get(i)
		number := int64(value.Number())
		if _, ok := e.other[number]; !ok {
			e.other[number] = []byte(value.Name())
		}
	}
	for n := int64(0); n < lowNames && len(e.low) < lowNames; n++ {
		e.low = append(e.low, e.other[n])
	}
	return e
}

// set writes the name of a number, or its digits if it has none.
func (e *enumNames) set(v *vector.Vector, row int, number int64) {
	if uint64(number) < uint64(len(e.low)) && e.low[number] != nil {
		v.SetBytes(row, e.low[number])
		return
	}
	if name, ok := e.other[number]; ok {
		v.SetBytes(row, name)
		return
	}
	v.Data = strconv.AppendInt(v.Data, number, 10)
	v.Offsets[row+1] = int32(len(v.Data))
}

// canonical makes a class's number of what the wire holds.
func canonical(kind protoreflect.Kind, u uint64) uint64 {
	switch kind {
	case protoreflect.BoolKind:
		if u != 0 {
			return 1
		}
		return 0
	case protoreflect.Int32Kind, protoreflect.EnumKind, protoreflect.Sfixed32Kind:
		return uint64(int64(int32(u)))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return uint64(uint32(u))
	case protoreflect.Sint32Kind:
		return uint64(int64(int32(protowire.DecodeZigZag(u & math.MaxUint32))))
	case protoreflect.Sint64Kind:
		return uint64(protowire.DecodeZigZag(u))
	}
	return u
}

// setNumber writes a number as canonical makes it.
func (x *value) setNumber(v *vector.Vector, row int, u uint64) error {
	switch x.class {
	case classBool:
		return x.cast.Bool(v, row, u != 0)
	case classInt, classEnum:
		return x.cast.Long(v, row, int64(u))
	case classUint:
		if u > math.MaxInt64 {
			var digits [20]byte
			return x.cast.Number(v, row, strconv.AppendUint(digits[:0], u, 10))
		}
		return x.cast.Long(v, row, int64(u))
	case classFloat:
		return x.cast.Double(v, row, float64(math.Float32frombits(uint32(u))))
	case classDouble:
		return x.cast.Double(v, row, math.Float64frombits(u))
	case className:
		x.enum.set(v, row, int64(u))
		return nil
	}
	var digits [20]byte
	return x.cast.Text(v, row, strconv.AppendUint(digits[:0], u, 10)) // classDigits
}

// notText: a string field holds bytes that are no text, whatever the column
// could make of them.
var notText = &cast.Error{Expected: "valid UTF-8"}

// setText writes a string or bytes.
func (x *value) setText(v *vector.Vector, row int, s []byte) error {
	if x.class == classBytes {
		return x.cast.Bytes(v, row, s)
	}
	if !validText(s) {
		return notText
	}
	return x.cast.Text(v, row, s)
}

// set writes a scalar of any class: text for classText and classBytes, number
// for the others. It tells false, having written nothing, if the value is none.
func (x *value) set(v *vector.Vector, row int, number uint64, text []byte) (bool, error) {
	if x.class < classText {
		return true, x.setNumber(v, row, number)
	}
	if len(text) == 0 && x.emptyNull {
		return false, nil
	}
	return true, x.setText(v, row, text)
}

// unpack turns a value of protobuf-go to what set takes.
func unpack(pv protoreflect.Value) (number uint64, text []byte) {
	switch y := pv.Interface().(type) {
	case bool:
		if y {
			return 1, nil
		}
	case int32:
		return uint64(int64(y)), nil
	case int64:
		return uint64(y), nil
	case uint32:
		return uint64(y), nil
	case uint64:
		return y, nil
	case float32:
		return uint64(math.Float32bits(y)), nil
	case float64:
		return math.Float64bits(y), nil
	case protoreflect.EnumNumber:
		return uint64(int64(y)), nil
	case string:
		return 0, []byte(y)
	case []byte:
		return 0, y
	}
	return 0, nil
}

// enforcesUTF8 tells whether protobuf-go refuses other text in a field.
func enforcesUTF8(desc protoreflect.FieldDescriptor) bool {
	if desc.Kind() != protoreflect.StringKind {
		return false
	}
	if f, ok := desc.(interface{ EnforceUTF8() bool }); ok && desc.ParentFile().Syntax() == protoreflect.Editions {
		return f.EnforceUTF8()
	}
	return desc.ParentFile().Syntax() == protoreflect.Proto3
}
