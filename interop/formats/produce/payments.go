package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/kafka"
)

const (
	moneyFile = `syntax = "proto3";
package pay;
message Money { int64 units = 1; sint32 cents = 2; }
`
	paymentHead = `syntax = "proto3";
package pay;
import "google/protobuf/timestamp.proto";
import "pay/money.proto";
enum Method { UNKNOWN = 0; CARD = 1; TRANSFER = 2; }
`
	paymentFields = `int64 id = 1; Money amount = 2; google.protobuf.Timestamp paid_at = 3; Method method = 4;
repeated string labels = 5; map<string, int64> counts = 6; optional string note = 7;
oneof means { string card = 8; string iban = 9; } double fee = 10; bool settled = 11; bytes receipt = 12;
`
	// Payments are inside the second message of the one file, and the first message
	// of the other, which has a field more.
	ledgerFile = paymentHead + "message Ping { int64 seq = 15; }\nmessage Ledger { message Payment { " + paymentFields + "} }\n"
	payFile    = paymentHead + "message Payment { " + paymentFields + "fixed32 checksum = 13; }\n"
)

// paymentWays are the ways in which a payment is broken.
const paymentWays = 7

// message is a type of message, behind the id and the indexes that name it.
type message struct {
	id         int
	indexes    []byte
	descriptor protoreflect.MessageDescriptor
}

func (m message) encode(document map[string]any) ([]byte, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	made := dynamicpb.NewMessage(m.descriptor)
	if err := protojson.Unmarshal(text, made); err != nil {
		return nil, fmt.Errorf("make a message: %w", err)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(made)
	if err != nil {
		return nil, fmt.Errorf("encode Protobuf: %w", err)
	}
	return wire(m.id, append(append([]byte(nil), m.indexes...), body...)), nil
}

// paymentMaker makes messages of two types, in turns.
type paymentMaker struct {
	types [2]message
	ping  message
}

// payments is a topic in Protobuf.
func payments(ctx context.Context, register register) (*topic, error) {
	ledger, ledgerID, err := protobuf(ctx, register, "formats.payments-value", ledgerFile)
	if err != nil {
		return nil, err
	}
	pay, payID, err := protobuf(ctx, register, "formats.payments-flat-value", payFile)
	if err != nil {
		return nil, err
	}
	m := &paymentMaker{
		types: [2]message{
			{ledgerID, indexes(1, 0), ledger.Messages().Get(1).Messages().Get(0)},
			{payID, []byte{0}, pay.Messages().Get(0)}, // short for path 0
		},
		ping: message{ledgerID, indexes(0), ledger.Messages().Get(0)},
	}
	return &topic{
		name: "formats.payments", model: "payments",
		columns: []column{
			{"id", "long"}, {"units", "long"}, {"cents", "int"}, {"paid_at", "timestamptz"}, {"method", "string"},
			{"labels", "list<string>"}, {"counts", "map<string, long>"}, {"note", "string"}, {"card", "string"},
			{"iban", "string"}, {"fee", "double"}, {"settled", "boolean"}, {"receipt", "binary"},
		},
		sample: m.sample,
	}, nil
}

// protobuf registers a file, which imports that of Money, and compiles it.
func protobuf(ctx context.Context, register register, subject, text string) (protoreflect.FileDescriptor, int, error) {
	files := map[string]string{"pay/money.proto": moneyFile, "main.proto": text}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(
		&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(files)})}
	compiled, err := compiler.Compile(ctx, "main.proto")
	if err != nil {
		return nil, 0, fmt.Errorf("compile the schema of %s: %w", subject, err)
	}
	id, err := register(ctx, subject, registry.Schema{
		Type: registry.Protobuf, Text: text,
		References: []registry.Reference{{Name: "pay/money.proto", Text: moneyFile}},
	})
	return compiled[0], id, err
}

// indexes writes the path to a message: its length and its numbers, zigzag.
func indexes(path ...int) []byte {
	b := binary.AppendVarint(nil, int64(len(path)))
	for _, n := range path {
		b = binary.AppendVarint(b, int64(n))
	}
	return b
}

func (m *paymentMaker) sample(i int) (sample, error) {
	document, want := payment(i)
	kind := m.types[i%2]
	if i%2 == 1 {
		document["checksum"] = i
	}
	value, err := kind.encode(document)
	if err != nil {
		return sample{}, err
	}
	s := sample{rows: []row{want}, ProduceRecord: kafka.ProduceRecord{Key: fmt.Append(nil, i), Value: value}}
	return m.broken(s, broken(i, paymentWays), kind)
}

// payment is a message as protobuf's JSON, and its row. What is absent in every third
// has presence: the fields without have their zero values.
func payment(i int) (map[string]any, row) {
	at, receipt := instant(i), []byte{0xff, byte(i)}
	document := map[string]any{"id": int64(i)}
	want := row{"id": i, "method": "UNKNOWN", "fee": 0.0, "settled": false, "receipt": ""}
	if i%3 != 0 {
		labels := []string{"x", "ü", fmt.Sprint(i)}[:i%4]
		maps.Copy(document, map[string]any{
			"amount": map[string]any{"units": int64(i) << 33, "cents": -i}, "paid_at": at.Format(time.RFC3339Nano),
			"method": []string{"UNKNOWN", "CARD", "TRANSFER"}[i%3], "labels": labels, "counts": map[string]any{"c": i}, "note": "",
			"fee": float64(i) / 16, "settled": i%2 == 0, "receipt": base64.StdEncoding.EncodeToString(receipt),
		})
		maps.Copy(want, row{
			"units": int64(i) << 33, "cents": -i, "paid_at": at.UnixMicro(), "method": document["method"], "labels": labels,
			"counts": [][]any{{"c", i}}, "note": "", "fee": float64(i) / 16, "settled": i%2 == 0, "receipt": hex.EncodeToString(receipt),
		})
	}
	switch i % 5 {
	case 1:
		document["card"], want["card"] = fmt.Sprint("card ", i), fmt.Sprint("card ", i)
	case 2:
		document["iban"], want["iban"] = fmt.Sprint("iban ", i), fmt.Sprint("iban ", i)
	}
	return document, want
}

func (m *paymentMaker) broken(s sample, way int, kind message) (sample, error) {
	prefix := 5 + len(kind.indexes)
	switch way {
	case -1:
		return s, nil
	case 0:
		return s.with([]byte("\x0ano schema id")).dead("malformed", ""), nil
	case 1:
		return s.with(wire(unregistered, s.Value[5:])).dead("schema", ""), nil
	case 2: // a length beyond the end, of field 5
		return s.with(append(s.Value, 0x2a, 0x70, 'x')).dead("malformed", ""), nil
	case 3:
		return s.with(wire(kind.id, append(indexes(9), s.Value[prefix:]...))).dead("schema", ""), nil
	case 4:
		value, err := m.ping.encode(map[string]any{"seq": 7})
		return s.with(value).dead("missing", "id"), err
	case 5:
		return s.with(nil).dead("tombstone", ""), nil
	case 6:
		return s.with(oversized()).dead("too_large", ""), nil
	}
	return s, errNoSample
}
