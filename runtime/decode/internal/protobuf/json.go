package protobuf

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/program"
)

// anyMessage is JSON only with the type of what is in it, which is often not
// among the files of a registry's schema.
const anyMessage protoreflect.FullName = "google.protobuf.Any"

// json writes a message by the rules of protobuf's JSON
// (https://protobuf.dev/programming-guides/json), with the names of the schema.
// An Any of a type that the schema does not have is its URL and bytes.
func (p *Program) json(m protoreflect.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{AllowPartial: true, UseProtoNames: true, Resolver: p.types}.Marshal(m.Interface())
	if err != nil && m.Descriptor().FullName() == anyMessage {
		return anyJSON(m)
	}
	if err != nil {
		return nil, &cast.Error{Expected: fmt.Sprintf("a message %s that has a form in JSON (%s)", m.Descriptor().FullName(), plain(err))}
	}
	var compact bytes.Buffer // protojson varies its spaces on purpose
	if err := json.Compact(&compact, text); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

func anyJSON(m protoreflect.Message) ([]byte, error) {
	fields := m.Descriptor().Fields()
	url, value := fields.ByName("type_url"), fields.ByName("value")
	if url == nil || value == nil || url.Kind() != protoreflect.StringKind || value.Kind() != protoreflect.BytesKind {
		return nil, &cast.Error{Expected: "a google.protobuf.Any of type_url and value"}
	}
	return json.Marshal(struct {
		Type  string `json:"@type"`
		Value string `json:"value"`
	}{m.Get(url).String(), base64.StdEncoding.EncodeToString(m.Get(value).Bytes())})
}

// jsonWire writes the JSON of a message on the wire.
func (r *Reader) jsonWire(x *value, s []byte, row int) bool {
	m := dynamicpb.NewMessage(x.desc.Message())
	if unmarshal(s, m, maxDepth-r.depth) != nil || proto.CheckInitialized(m) != nil {
		return false
	}
	text, err := r.program.json(m)
	if err != nil {
		return false
	}
	r.vectors[x.vector].SetBytes(row, text)
	return true
}

func (r *Reader) exactJSON(x *value, m protoreflect.Message, row int) *program.Error {
	text, err := r.program.json(m)
	if err != nil {
		return x.reject(err, "a message "+string(m.Descriptor().FullName()))
	}
	r.vectors[x.vector].SetBytes(row, text)
	return nil
}

// exactJSONField writes the JSON of a repeated field or a map, as a message has
// it that has nothing else.
func (r *Reader) exactJSONField(x *value, m protoreflect.Message, row int) *program.Error {
	alone := dynamicpb.NewMessage(m.Descriptor())
	alone.Set(x.desc, m.Get(x.desc))
	text, err := r.program.json(alone)
	if err != nil {
		return x.reject(err, describe(x.desc))
	}
	_, inner, _ := strings.Cut(string(text), ":") // behind the name, which has no colon
	r.vectors[x.vector].SetBytes(row, []byte(strings.TrimSuffix(inner, "}")))
	return nil
}
