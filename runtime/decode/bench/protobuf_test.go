package bench

import (
	"encoding/json"
	"testing"

	"buf.build/go/hyperpb"
	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/calvelake/calve/runtime/decode/registry"
)

// clickProto is the schema of the click event.
const clickProto = `
syntax = "proto3";
package example;
import "google/protobuf/timestamp.proto";
message Click {
  string event_id = 1;
  string event_type = 2;
  int64 user_id = 3;
  string session_id = 4;
  google.protobuf.Timestamp ts = 5;
  string page_url = 6;
  optional string referrer = 7;
  int32 duration_ms = 8;
  double scroll = 9;
  bool is_mobile = 10;
  Payload payload = 11;
}
message Payload {
  string campaign = 1;
  int32 position = 2;
  double price = 3;
  string variant = 4;
}`

// clickDescriptor is clickProto for the library.
func clickDescriptor(t testing.TB) protoreflect.MessageDescriptor {
	t.Helper()
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type, message string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Type: kind.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		if message != "" {
			f.TypeName = &message
		}
		if name == "referrer" {
			f.Proto3Optional, f.OneofIndex = proto.Bool(true), proto.Int32(0)
		}
		return f
	}
	const (
		text, long, integer = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_INT64, descriptorpb.FieldDescriptorProto_TYPE_INT32
		double, boolean     = descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, descriptorpb.FieldDescriptorProto_TYPE_BOOL
		message             = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	)
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("click.proto"), Package: proto.String("example"), Syntax: proto.String("proto3"), Dependency: []string{"google/protobuf/timestamp.proto"},
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Click"), OneofDecl: []*descriptorpb.OneofDescriptorProto{{Name: proto.String("_referrer")}}, Field: []*descriptorpb.FieldDescriptorProto{
				field("event_id", 1, text, ""), field("event_type", 2, text, ""), field("user_id", 3, long, ""), field("session_id", 4, text, ""),
				field("ts", 5, message, ".google.protobuf.Timestamp"), field("page_url", 6, text, ""), field("referrer", 7, text, ""),
				field("duration_ms", 8, integer, ""), field("scroll", 9, double, ""), field("is_mobile", 10, boolean, ""), field("payload", 11, message, ".example.Payload")}},
			{Name: proto.String("Payload"), Field: []*descriptorpb.FieldDescriptorProto{
				field("campaign", 1, text, ""), field("position", 2, integer, ""), field("price", 3, double, ""), field("variant", 4, text, "")}},
		}}
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(timestamppb.File_google_protobuf_timestamp_proto), file}}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	found, err := files.FindDescriptorByName("example.Click")
	if err != nil {
		t.Fatal(err)
	}
	return found.(protoreflect.MessageDescriptor)
}

// protobufHeader is the wire format of Confluent: the id of the schema, and the
// first of its messages.
var protobufHeader = []byte{0, 0, 0, 0, clickSchemaID, 0}

// clicksProto encodes the click events, with Confluent's header.
func clicksProto(t testing.TB, desc protoreflect.MessageDescriptor) [][]byte {
	t.Helper()
	var out [][]byte
	for _, text := range clicks() {
		var e click
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		at, err := micros(e.TS)
		if err != nil {
			t.Fatal(err)
		}
		m := dynamicpb.NewMessage(desc)
		set := func(m protoreflect.Message, name protoreflect.Name, value any) {
			m.Set(m.Descriptor().Fields().ByName(name), protoreflect.ValueOf(value))
		}
		set(m, "event_id", e.EventID)
		set(m, "event_type", e.EventType)
		set(m, "user_id", e.UserID)
		set(m, "session_id", e.SessionID)
		moment := m.Mutable(desc.Fields().ByName("ts")).Message()
		set(moment, "seconds", int64(at)/1_000_000)
		set(moment, "nanos", int32(at%1_000_000*1000))
		set(m, "page_url", e.PageURL)
		if e.Referrer != nil {
			set(m, "referrer", *e.Referrer)
		}
		set(m, "duration_ms", e.DurationMS)
		set(m, "scroll", e.Scroll)
		set(m, "is_mobile", e.IsMobile)
		payload := m.Mutable(desc.Fields().ByName("payload")).Message()
		set(payload, "campaign", e.Payload.Campaign)
		set(payload, "position", e.Payload.Position)
		set(payload, "price", e.Payload.Price)
		set(payload, "variant", e.Payload.Variant)
		body, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(append([]byte{}, protobufHeader...), m)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, body)
	}
	return packed(out)
}

// hyper decodes by hyperpb, its memory reused, and appends what its getters
// give. A getter costs it more than the parsing: each field is got once.
func hyper(name string, schema *arrow.Schema, desc protoreflect.MessageDescriptor, messages [][]byte, options ...hyperpb.UnmarshalOption) candidate {
	kind := hyperpb.CompileMessageDescriptor(desc)
	of := func(m protoreflect.MessageDescriptor, names ...protoreflect.Name) []protoreflect.FieldDescriptor {
		var out []protoreflect.FieldDescriptor
		for _, name := range names {
			out = append(out, m.Fields().ByName(name))
		}
		return out
	}
	f := of(kind.Descriptor(), "event_id", "event_type", "user_id", "session_id", "ts", "page_url", "referrer", "duration_ms", "scroll", "is_mobile", "payload")
	ts := of(f[4].Message(), "seconds", "nanos")
	payload := of(f[10].Message(), "campaign", "position", "price", "variant")
	shared := new(hyperpb.Shared)
	return candidate{name, func(t testing.TB) arrow.RecordBatch {
		c := newClickBuilders(schema)
		defer c.record.Release()
		for _, body := range messages {
			m := shared.NewMessage(kind)
			if err := m.Unmarshal(body[len(protobufHeader):], options...); err != nil {
				t.Fatal(err)
			}
			c.eventID.Append(m.Get(f[0]).String())
			c.eventType.Append(m.Get(f[1]).String())
			c.user.Append(m.Get(f[2]).Int())
			c.session.Append(m.Get(f[3]).String())
			moment := m.Get(f[4]).Message()
			c.ts.Append(arrow.Timestamp(moment.Get(ts[0]).Int()*1_000_000 + moment.Get(ts[1]).Int()/1000))
			c.page.Append(m.Get(f[5]).String())
			if m.Has(f[6]) {
				c.referrer.Append(m.Get(f[6]).String())
			} else {
				c.referrer.AppendNull()
			}
			c.duration.Append(int32(m.Get(f[7]).Int()))
			c.scroll.Append(m.Get(f[8]).Float())
			c.mobile.Append(m.Get(f[9]).Bool())
			p := m.Get(f[10]).Message()
			c.payload.Append(true)
			c.campaign.Append(p.Get(payload[0]).String())
			c.position.Append(int32(p.Get(payload[1]).Int()))
			c.price.Append(p.Get(payload[2]).Float())
			c.variant.Append(p.Get(payload[3]).String())
			shared.Free()
		}
		return c.record.NewRecordBatch()
	}}
}

func BenchmarkFigureProtobuf(b *testing.B) {
	desc := clickDescriptor(b)
	messages, schema := clicksProto(b, desc), schemaOf(b, clickColumns)
	for b.Loop() {
		took := measure(b,
			oursBySchema(b, "protobuf", registry.Schema{ID: clickSchemaID, Type: registry.Protobuf, Text: clickProto}, messages),
			hyper("hyperpb", schema, desc, messages),
			hyper("hyperpb aliasing", schema, desc, messages, hyperpb.WithAllowAlias(true))) // strings in the memory of the message
		b.ReportMetric(ratio(took[0], took[1:]...), "decode.protobuf.vs_library")
	}
}
