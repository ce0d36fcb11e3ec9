package decode

import (
	"github.com/calvelake/calve/runtime/decode/internal/avro"
	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/protobuf"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/decode/registry"
)

var avroLanguage = language{
	name: "Avro",
	kind: registry.Avro,
	parse: func(s registry.Schema) (parsedSchema, error) {
		schema, err := avro.Parse(s)
		return avroSchema{schema}, err
	},
}

type avroSchema struct{ *avro.Schema }

func (s avroSchema) compile(_ []int, columns []program.Column) (compiled, error) {
	p, err := s.Compile(columns)
	return avroProgram{p}, err
}

type avroProgram struct{ *avro.Program }

func (p avroProgram) open(set *vector.Set) (bodyReader, error) {
	return avroBody{p.Program.Reader(set)}, nil
}

type avroBody struct{ *avro.Reader }

func (b avroBody) read(body []byte) (int64, error) { return 0, b.Read(body) }

var protobufLanguage = language{
	name:    "Protobuf",
	kind:    registry.Protobuf,
	indexes: registry.Indexes,
	parse: func(s registry.Schema) (parsedSchema, error) {
		schema, err := protobuf.Parse(s)
		return protobufSchema{schema}, err
	},
}

type protobufSchema struct{ *protobuf.Schema }

func (s protobufSchema) compile(path []int, columns []program.Column) (compiled, error) {
	p, err := s.Compile(path, columns)
	return protobufProgram{p}, err
}

type protobufProgram struct{ *protobuf.Program }

func (p protobufProgram) open(set *vector.Set) (bodyReader, error) {
	return protobufBody{p.Program.Reader(set)}, nil
}

type protobufBody struct{ *protobuf.Reader }

func (b protobufBody) read(body []byte) (int64, error) {
	before := b.Unknown
	err := b.Read(body)
	return b.Unknown - before, err
}
