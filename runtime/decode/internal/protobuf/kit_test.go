package protobuf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

// table is a program with the columns of a test.
type fixture struct {
	schema  *Schema
	program *Program
	columns []program.Column
	arrow   *arrow.Schema
}

func parse(t testing.TB, text string, references ...registry.Reference) *Schema {
	t.Helper()
	s, err := Parse(registry.Schema{ID: 1, Type: registry.Protobuf, Text: text, References: references})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return s
}

// columnOf makes a nullable column of "path data_type [encoding]".
func columnOf(t testing.TB, text string, index int) program.Column {
	t.Helper()
	where, rest, _ := strings.Cut(text, " ")
	rest, encoding, _ := strings.Cut(rest, " encoding ")
	typ, err := record.ParseType(rest)
	if err != nil {
		t.Fatal(err)
	}
	return program.Column{Path: strings.Split(where, "."), Index: index, Type: typ, Encoding: encoding, Nullable: true}
}

func compileWith(t testing.TB, s *Schema, columns ...program.Column) *fixture {
	t.Helper()
	f := &fixture{schema: s, columns: columns}
	var err error
	if f.program, err = s.Compile([]int{0}, columns); err != nil {
		t.Fatal(err)
	}
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: joinPath(c.Path), Type: c.Type, Nullable: true}
	}
	f.arrow = arrow.NewSchema(fields, nil)
	return f
}

func compileText(t testing.TB, text string, columns ...string) *fixture {
	t.Helper()
	made := make([]program.Column, len(columns))
	for i, c := range columns {
		made[i] = columnOf(t, c, i)
	}
	return compileWith(t, parse(t, text), made...)
}

// natural compiles all fields of a schema's first message with their natural
// data_types.
func natural(t testing.TB, text string) *fixture {
	t.Helper()
	s := parse(t, text)
	empty, err := s.Compile([]int{0}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var columns []program.Column
	for i, f := range empty.Unread() {
		columns = append(columns, program.Column{Path: f.Path, Index: i, Type: f.Type, Nullable: true})
	}
	return compileWith(t, s, columns...)
}

func (f *fixture) set(t testing.TB) *vector.Set {
	t.Helper()
	set, err := vector.NewSet(f.arrow, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// read decodes one body, as part of a batch that has rows before and after.
func (f *fixture) read(t testing.TB, body []byte) (map[string]any, error) {
	t.Helper()
	set := f.set(t)
	err := f.program.Reader(set).Read(body)
	if err != nil {
		set.Rollback()
		return nil, err
	}
	set.Next()
	return rowOf(set.Batch(), 0), nil
}

func rowOf(batch arrow.RecordBatch, row int) map[string]any {
	out := map[string]any{}
	for i, f := range batch.Schema().Fields() {
		out[f.Name] = anyOf(batch.Column(i), row)
	}
	return out
}

// anyOf is the value of a row: nil, a scalar as text, []any or map[string]any.
func anyOf(a arrow.Array, row int) any {
	if a.IsNull(row) {
		return nil
	}
	switch a := a.(type) {
	case *array.Struct:
		out := map[string]any{}
		for i := range a.NumField() {
			out[a.DataType().(*arrow.StructType).Field(i).Name] = anyOf(a.Field(i), row)
		}
		return out
	case *array.Map:
		from, to := a.ValueOffsets(row)
		out := map[string]any{}
		for i := from; i < to; i++ {
			key := fmt.Sprint(anyOf(a.Keys(), int(i)))
			if _, ok := out[key]; ok {
				key += " twice"
			}
			out[key] = anyOf(a.Items(), int(i))
		}
		return out
	case *array.List:
		from, to := a.ValueOffsets(row)
		out := []any{}
		for i := from; i < to; i++ {
			out = append(out, anyOf(a.ListValues(), int(i)))
		}
		return out
	case *array.Binary:
		return string(a.Value(row))
	case *array.String:
		return a.Value(row)
	case *array.Float64:
		return fmt.Sprintf("%x", math.Float64bits(a.Value(row)))
	case *array.Float32:
		return fmt.Sprintf("%x", math.Float32bits(a.Value(row)))
	case *array.Timestamp:
		return strconv.FormatInt(int64(a.Value(row)), 10)
	case *array.Date32:
		return strconv.FormatInt(int64(a.Value(row)), 10)
	case *array.Decimal128:
		return a.Value(row).BigInt().String()
	}
	return a.ValueStr(row)
}

// errRefused: protobuf-go, or its value in the data_type, is refused.
var errRefused = errors.New("refused")

// oracle is the row that dynamicpb makes of a body, for columns with natural
// data_types at the top of the message.
func (f *fixture) oracle(body []byte) (map[string]any, error) {
	m := dynamicpb.NewMessage(f.program.message)
	if err := unmarshalOrPanic(body, m); err != nil {
		return nil, err
	}
	o := oracle{types: f.schema.types}
	out := map[string]any{}
	for _, c := range f.columns {
		out[joinPath(c.Path)] = o.field(m, m.Descriptor().Fields().ByName(protoreflect.Name(c.Path[0])), c.Type)
	}
	return out, o.err
}

// errPanic: protobuf-go panics, see unmarshal.
var errPanic = errors.New("panic")

func unmarshalOrPanic(body []byte, m proto.Message) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return proto.UnmarshalOptions{RecursionLimit: 100}.Unmarshal(body, m)
}

type oracle struct {
	types *dynamicpb.Types
	err   error
}

func (o *oracle) field(m protoreflect.Message, fd protoreflect.FieldDescriptor, t arrow.DataType) any {
	if (fd.IsList() || fd.IsMap()) && t.ID() == arrow.STRING {
		return o.fieldJSON(m, fd)
	}
	switch t := t.(type) {
	case *arrow.ListType:
		out := []any{}
		for i := range m.Get(fd).List().Len() {
			out = append(out, o.one(m.Get(fd).List().Get(i), fd, t.Elem()))
		}
		return out
	case *arrow.MapType:
		out := map[string]any{}
		m.Get(fd).Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			out[fmt.Sprint(o.one(k.Value(), fd.MapKey(), t.KeyType()))] = o.one(v, fd.MapValue(), t.ItemType())
			return true
		})
		return out
	}
	if fd.HasPresence() && !m.Has(fd) && !fd.HasDefault() {
		return nil
	}
	return o.one(m.Get(fd), fd, t)
}

func (o *oracle) one(v protoreflect.Value, fd protoreflect.FieldDescriptor, t arrow.DataType) any {
	if fd.Message() != nil {
		return o.message(v.Message(), t)
	}
	switch y := v.Interface().(type) {
	case protoreflect.EnumNumber:
		if name := fd.Enum().Values().ByNumber(y); name != nil {
			return string(name.Name())
		}
		return strconv.Itoa(int(y))
	case string:
		if !utf8.ValidString(y) {
			o.err = errRefused
		}
		return y
	case []byte:
		return string(y)
	case float64:
		return fmt.Sprintf("%x", math.Float64bits(y))
	case float32:
		return fmt.Sprintf("%x", math.Float32bits(y))
	}
	return fmt.Sprint(v.Interface())
}

func (o *oracle) message(m protoreflect.Message, t arrow.DataType) any {
	get := func(n protoreflect.FieldNumber) int64 { return m.Get(m.Descriptor().Fields().ByNumber(n)).Int() }
	name := m.Descriptor().FullName()
	if s, ok := t.(*arrow.StructType); ok {
		out := map[string]any{}
		for _, f := range s.Fields() {
			out[f.Name] = o.field(m, m.Descriptor().Fields().ByName(protoreflect.Name(f.Name)), f.Type)
		}
		return out
	}
	switch {
	case strings.HasSuffix(string(name), "Value") && name.Parent() == "google.protobuf" && m.Descriptor().Fields().Len() == 1 && m.Descriptor().Fields().Get(0).Name() == "value":
		return o.one(m.Get(m.Descriptor().Fields().Get(0)), m.Descriptor().Fields().Get(0), t)
	case name == "google.protobuf.Timestamp":
		if s, n := get(1), get(2); s < firstSecond || s > lastSecond || n < 0 || n > 999_999_999 {
			o.err = errRefused
		}
		micros := new(big.Int).Mul(big.NewInt(get(1)), big.NewInt(1_000_000))
		return micros.Add(micros, big.NewInt(get(2)/1000)).String()
	case name == "google.protobuf.Duration":
		text, err := protojson.Marshal(m.Interface())
		if err != nil {
			o.err = errRefused
		}
		return strings.Trim(string(text), `"`)
	case name == "google.type.Date":
		at := time.Date(int(get(1)), time.Month(get(2)), int(get(3)), 0, 0, 0, 0, time.UTC)
		if int64(at.Year()) != get(1) || int64(at.Month()) != get(2) || int64(at.Day()) != get(3) || get(1) < 1 || get(1) > 9999 {
			o.err = errRefused
		}
		return strconv.FormatInt(at.Unix()/86400, 10)
	}
	return o.json(m)
}

func (o *oracle) json(m protoreflect.Message) string {
	text, err := protojson.MarshalOptions{AllowPartial: true, UseProtoNames: true, Resolver: o.types}.Marshal(m.Interface())
	if err != nil {
		if m.Descriptor().FullName() == anyMessage {
			text, _ = anyJSON(m)
			return string(text)
		}
		o.err = errRefused
		return ""
	}
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		o.err = err
	}
	return out.String()
}

// fieldJSON is a member of the whole message's JSON.
func (o *oracle) fieldJSON(m protoreflect.Message, fd protoreflect.FieldDescriptor) string {
	if !m.Has(fd) {
		if fd.IsMap() {
			return "{}"
		}
		return "[]"
	}
	alone := m.New()
	alone.Set(fd, m.Get(fd))
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(o.json(alone)), &members); err != nil {
		o.err = errRefused
	}
	return string(members[fd.TextName()])
}
