package protobuf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/calvelake/calve/runtime/decode/internal/program"
)

// agree checks a body against protobuf-go's dynamicpb: the same values, or both
// refuse.
//
// Ours refuses what protobuf-go reads in these cases, all of them because the
// column cannot hold the value; the oracle knows them by errRefused:
//   - a string of proto2, or of an edition without utf8_validation, in a column
//     (or in JSON text) though it is not UTF-8: Arrow's and Iceberg's strings are;
//   - a Timestamp, Duration or Date beyond the range that its definition gives:
//     it is no time;
//   - a message that has no form in JSON by protobuf's own rules, in a column of
//     JSON text.
//
// Where protobuf-go panics (see unmarshal), ours reads the record, taking the
// field of another wire type as unknown, or refuses it.
//
// Ours reads 100 messages inside of one another, as C++ and Java do, where
// protobuf-go would read 10,000: the oracle is told the same limit.
func (f *fixture) agree(t testing.TB, body []byte) {
	t.Helper()
	got, err := f.read(t, body)
	want, refused := f.oracle(body)
	var reject *program.Error
	switch {
	case err != nil && !errors.As(err, &reject):
		t.Fatalf("error %v: % x", err, body)
	case errors.Is(refused, errPanic):
		return
	case (err == nil) != (refused == nil):
		t.Fatalf("got error %v, protobuf-go %v: % x", err, refused, body)
	case err == nil && !reflect.DeepEqual(got, want):
		t.Fatalf("got %v\nprotobuf-go %v\n% x", got, want, body)
	}
	f.bothWays(t, body)
}

// randomSchema is a file of one of the languages, the first message of which
// has fields of all kinds.
type randomSchema struct {
	*rand.Rand
	strings.Builder
	language string // proto2, proto3 or 2023
	depth    int
}

func (s *randomSchema) pick(words ...string) string { return words[s.IntN(len(words))] }

func newSchema(random *rand.Rand) string {
	s := &randomSchema{Rand: random}
	s.language = s.pick("proto2", "proto3", "2023")
	if s.language == "2023" {
		s.WriteString("edition = \"2023\";\n")
		fmt.Fprintf(s, "option features.field_presence = %s;\n", s.pick("EXPLICIT", "IMPLICIT"))
		fmt.Fprintf(s, "option features.repeated_field_encoding = %s;\n", s.pick("PACKED", "EXPANDED"))
		fmt.Fprintf(s, "option features.utf8_validation = %s;\n", s.pick("VERIFY", "NONE"))
		fmt.Fprintf(s, "option features.message_encoding = %s;\n", s.pick("LENGTH_PREFIXED", "DELIMITED"))
	} else {
		fmt.Fprintf(s, "syntax = %q;\n", s.language)
	}
	s.WriteString("import \"google/protobuf/timestamp.proto\";\nimport \"google/protobuf/duration.proto\";\nimport \"google/protobuf/wrappers.proto\";\n" +
		"import \"google/protobuf/struct.proto\";\nimport \"google/protobuf/any.proto\";\nimport \"google/type/date.proto\";\n")
	s.message("M")
	s.WriteString("enum E { ZERO = 0; ONE = 1; TWO = 2; FAR = 1000; MINUS = -1; }\n")
	s.WriteString("message Leaf { " + s.label() + " int32 a = 1; repeated Leaf more = 2; }\n")
	return s.String()
}

// label is what may stand before a singular field.
func (s *randomSchema) label() string {
	switch s.language {
	case "proto2":
		return s.pick("optional", "optional", "optional", "required")
	case "proto3":
		return s.pick("", "optional")
	}
	return ""
}

const scalars = "double float int32 int64 uint32 uint64 sint32 sint64 fixed32 fixed64 sfixed32 sfixed64 bool string bytes E"

const messages = "Leaf google.protobuf.Timestamp google.protobuf.Duration google.protobuf.StringValue google.protobuf.Int64Value google.protobuf.BoolValue " +
	"google.protobuf.Value google.protobuf.Any google.type.Date"

func (s *randomSchema) message(name string) {
	s.depth++
	defer func() { s.depth-- }()
	fmt.Fprintf(s, "message %s {\n", name)
	number := 0
	next := func() int { number += 1 + s.IntN(3)*s.IntN(30); return number }
	anyType := func(inner *string) string {
		switch n := s.IntN(8); {
		case n < 5:
			return s.pick(strings.Fields(scalars)...)
		case n < 7 || s.depth > 3:
			return s.pick(strings.Fields(messages)...)
		}
		*inner = fmt.Sprintf("In%d", number)
		return *inner
	}
	var nested []string
	for i := range 1 + s.IntN(12) {
		inner := ""
		switch n := s.IntN(10); {
		case n < 5:
			typ := anyType(&inner)
			fmt.Fprintf(s, "  %s %s f%d = %d%s;\n", s.label(), typ, i, next(), s.defaultOf(typ))
		case n < 7:
			fmt.Fprintf(s, "  repeated %s f%d = %d;\n", anyType(&inner), i, next())
		case n < 8:
			fmt.Fprintf(s, "  map<%s, %s> f%d = %d;\n", s.pick("string", "int32", "int64", "uint32", "uint64", "bool", "sint64", "fixed32"), anyType(&inner), i, next())
		case n < 9:
			fmt.Fprintf(s, "  oneof o%d { %s f%da = %d; %s f%db = %d; Leaf f%dc = %d; }\n", i, anyType(&inner), i, next(), s.pick(strings.Fields(scalars)...), i, next(), i, next())
		case s.language == "proto2":
			fmt.Fprintf(s, "  %s group G%d = %d { optional string a = 1; repeated int32 b = 2; }\n", s.pick("optional", "repeated", "required"), i, next())
		default:
			fmt.Fprintf(s, "  repeated int32 f%d = %d [%s];\n", i, next(), map[bool]string{true: "packed = false", false: "features.repeated_field_encoding = EXPANDED"}[s.language == "proto3"])
		}
		if inner != "" {
			nested = append(nested, inner)
		}
	}
	for _, name := range nested {
		s.message(name)
	}
	s.WriteString("}\n")
}

// defaultOf is a default of proto2.
func (s *randomSchema) defaultOf(typ string) string {
	if s.language != "proto2" || s.IntN(3) > 0 {
		return ""
	}
	value := map[string]string{"string": `"dé"`, "bytes": `"\x00x"`, "bool": "true", "E": "TWO", "double": "-1.5", "float": "inf"}[typ]
	if value == "" && strings.Contains(scalars, typ) {
		value = "7"
	}
	if value == "" {
		return ""
	}
	return " [default = " + value + "]"
}

// fill sets random fields of a message.
func fill(random *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.Cardinality() != protoreflect.Required && random.IntN(3) == 0 || depth > 5 && fd.Message() != nil {
			continue
		}
		switch {
		case fd.IsMap():
			for range random.IntN(12) {
				v := m.Mutable(fd).Map().NewValue()
				if fd.MapValue().Message() != nil {
					fill(random, v.Message(), depth+1)
				} else {
					v = randomScalar(random, fd.MapValue())
				}
				m.Mutable(fd).Map().Set(randomScalar(random, fd.MapKey()).MapKey(), v)
			}
		case fd.IsList():
			for range random.IntN(4) {
				if fd.Message() != nil {
					fill(random, m.Mutable(fd).List().AppendMutable().Message(), depth+1)
				} else {
					m.Mutable(fd).List().Append(randomScalar(random, fd))
				}
			}
		case fd.Message() != nil:
			fill(random, m.Mutable(fd).Message(), depth+1)
		default:
			m.Set(fd, randomScalar(random, fd))
		}
	}
}

func randomScalar(random *rand.Rand, fd protoreflect.FieldDescriptor) protoreflect.Value {
	u := random.Uint64() >> random.IntN(64)
	if random.IntN(4) == 0 {
		u = ^u
	}
	if fd.ContainingMessage().FullName().Parent() != "" && random.IntN(4) > 0 {
		u %= 28 // mostly good dates and times
	}
	text := []string{"", "a", "grün", "two words", strings.Repeat("long ", 10), "\u2028 \U0001f600"}[random.IntN(6)]
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(u%2 == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber([]int{0, 1, 2, 1000, -1, 5}[random.IntN(6)]))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(u))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(int64(u))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(u))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(u)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(random.NormFloat64()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(random.NormFloat64())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(text))
	}
	return protoreflect.ValueOfString(text)
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	body, err := proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// mutate breaks a body in one of the ways in which bodies are broken.
func mutate(random *rand.Rand, body, other []byte) []byte {
	body = append([]byte{}, body...)
	switch n := random.IntN(6); {
	case n == 0:
		return append(body, other...) // merged
	case n == 1:
		unknown := protowire.AppendBytes(protowire.AppendTag(nil, protowire.Number(1+random.IntN(40)), protowire.BytesType), other[:min(len(other), 9)])
		return append(unknown, body...)
	case len(body) == 0:
		return other
	case n == 2:
		return body[:random.IntN(len(body))]
	case n == 3:
		at := random.IntN(len(body))
		return append(body[:at:at], append([]byte{byte(random.Uint32())}, body[at:]...)...)
	}
	for range 1 + random.IntN(3) {
		body[random.IntN(len(body))] ^= 1 << random.IntN(8)
	}
	return body
}

// TestRandomSchemasAgreeWithDynamicpb also sees to it that what encoders write
// is read along the bytes, else protobuf-go would be compared with itself.
func TestRandomSchemasAgreeWithDynamicpb(t *testing.T) {
	schemas := 150
	if testing.Short() {
		schemas = 40
	}
	plain, along := 0, 0
	for seed := range schemas {
		random := rand.New(rand.NewPCG(uint64(seed), 3))
		text := newSchema(random)
		f := natural(t, text)
		for range 30 {
			m, other := dynamicpb.NewMessage(f.program.message), dynamicpb.NewMessage(f.program.message)
			fill(random, m, 0)
			fill(random, other, 0)
			body := marshal(t, m)
			f.agree(t, body)
			plain++
			if f.bothWays(t, body) {
				along++
			}
			f.agree(t, mutate(random, body, marshal(t, other)))
			if t.Failed() {
				t.Fatal(text)
			}
		}
	}
	t.Logf("%d of %d messages as encoders write them were read along the bytes", along, plain)
	if along < plain/3 {
		t.Errorf("only %d of %d messages as encoders write them were read along the bytes", along, plain)
	}
}
