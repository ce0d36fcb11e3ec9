package protobuf

import (
	"errors"
	"reflect"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/record"
)

// bytesField appends a field of bytes.
func bytesField(b []byte, num protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), value)
}

func numberField(b []byte, num protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), value)
}

func TestMergesByTheRules(t *testing.T) {
	f := compileText(t, order, "id long", "customer string", "card string", "transfer struct<iban: string, amount: long>",
		"address struct<street: string, city: string, phones: list<string>>", "codes list<int>", "counts map<string, long>", "by_number map<int, struct<sku: string, quantity: int>>")
	enc := func(texts ...string) []byte {
		var out []byte
		for _, text := range texts {
			out = append(out, f.encode(t, text)...)
		}
		return out
	}
	tests := []struct {
		name string
		body []byte
		want map[string]any // what differs from an empty message
	}{
		{"the last scalar", enc(`{"id": "1", "customer": "a"}`, `{"id": "2", "customer": "bb"}`), map[string]any{"id": "2", "customer": "bb"}},
		{"messages merge", enc(`{"address": {"street": "s", "phones": ["1"]}}`, `{"id": "3", "address": {"city": "c", "phones": ["2"]}}`),
			map[string]any{"id": "3", "address": map[string]any{"street": "s", "city": "c", "phones": []any{"1", "2"}}}},
		{"the last of a oneof", enc(`{"card": "c"}`, `{"transfer": {"iban": "i"}}`), map[string]any{"transfer": map[string]any{"iban": "i", "amount": "0"}}},
		{"a oneof that comes back is new", enc(`{"transfer": {"iban": "i"}}`, `{"card": "c"}`, `{"transfer": {"amount": "1"}}`),
			map[string]any{"transfer": map[string]any{"iban": "", "amount": "1"}}},
		{"a member that no column reads displaces", enc(`{"card": "c"}`, `{"cash": true}`), map[string]any{}},
		{"lists go on", enc(`{"codes": [1, 2]}`, `{"id": "1"}`, `{"codes": [3]}`), map[string]any{"id": "1", "codes": []any{"1", "2", "3"}}},
		{"packed and not", append(numberField(numberField(nil, 16, 5), 16, 6), enc(`{"codes": [7, 8]}`)...), map[string]any{"codes": []any{"5", "6", "7", "8"}}},
		{"the last of a key", enc(`{"counts": {"a": "1", "b": "2"}}`, `{"counts": {"a": "3"}}`), map[string]any{"counts": map[string]any{"a": "3", "b": "2"}}},
		{"entries do not merge", enc(`{"by_number": {"1": {"sku": "s"}}}`, `{"by_number": {"1": {"quantity": 4}}}`),
			map[string]any{"by_number": map[string]any{"1": map[string]any{"sku": "", "quantity": "4"}}}},
		{"an entry in another order", bytesField(nil, 18, bytesField(numberField(nil, 2, 9), 1, []byte("k"))), map[string]any{"counts": map[string]any{"k": "9"}}},
		{"an entry with a value twice", bytesField(nil, 18, numberField(numberField(nil, 2, 9), 2, 10)), map[string]any{"counts": map[string]any{"": "10"}}},
		{"a key again in another wire type is unknown", bytesField(nil, 19, bytesField(numberField(nil, 1, 1), 1, nil)),
			map[string]any{"by_number": map[string]any{"1": map[string]any{"sku": "", "quantity": "0"}}}},
		{"an unknown field", append(bytesField(nil, 999, []byte("x")), enc(`{"id": "1"}`)...), map[string]any{"id": "1"}},
		{"another wire type is unknown", append(numberField(nil, 2, 7), protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), 1)...), map[string]any{}},
		{"a tag in more bytes than it needs", []byte{0x88, 0x80, 0x00, 5}, map[string]any{"id": "5"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want, err := f.read(t, nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range test.want {
				want[k] = v
			}
			got, err := f.read(t, test.body)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, error %v\nwant %v", got, err, want)
			}
			f.bothWays(t, test.body)
		})
	}
}

// TestALastValueCountsAlone: what is displaced may be beyond its column.
func TestALastValueCountsAlone(t *testing.T) {
	f := compileText(t, order, "id int", "counts map<string, int>")
	body := append(f.encode(t, `{"id": "4294967296", "counts": {"a": "4294967296"}}`), f.encode(t, `{"id": "1", "counts": {"a": "2"}}`)...)
	got, err := f.read(t, body)
	want := map[string]any{"id": "1", "counts": map[string]any{"a": "2"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, error %v, want %v", got, err, want)
	}
}

func TestMalformedRecords(t *testing.T) {
	deep := []byte{8, 1}
	for range 200 {
		deep = bytesField(nil, 2, deep)
	}
	f := compileText(t, order, "id long", "customer string", "lines list<struct<sku: string>>")
	tests := map[string][]byte{
		"a tag without a value":              {0x08},
		"a length beyond the end":            {0x12, 0x05, 'a'},
		"a number of eleven bytes":           {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"a number of more than 64 bits":      {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
		"field number 0":                     {0x00, 0x01},
		"the end of a group that never was":  {0x0c},
		"a group without end":                {0x0b, 0x08, 0x01},
		"wire type 7":                        {0x0f},
		"text that is not UTF-8":             bytesField(nil, 2, []byte("\xff")),
		"text that is not UTF-8, not read":   bytesField(nil, 17, []byte("\xff")),
		"a message not read that is cut":     bytesField(nil, 14, []byte{0x0a}),
		"a list not read that is cut":        bytesField(nil, 16, []byte{0x80}),
		"an element that is cut":             bytesField(nil, 15, []byte{0x0a, 0x02, 'a'}),
		"messages deeper than 100":           bytesField(nil, 31, deep),
		"a length of 2^63":                   {0x12, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01},
		"a field number beyond the greatest": protowire.AppendVarint(nil, 1<<32),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := f.read(t, body)
			var got *program.Error
			if !errors.As(err, &got) || got.Code != record.CodeMalformed || got.Column != -1 {
				t.Errorf("got %v, want it malformed", err)
			}
			if _, err := f.oracle(body); err == nil {
				t.Error("protobuf-go reads it")
			}
		})
	}
}
