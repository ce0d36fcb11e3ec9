package main

import (
	"context"
	"testing"

	"github.com/calvelake/calve/runtime/decode/registry"
)

// makers are all topics, with the ways in which their records are broken.
var makers = map[string]struct {
	make func(context.Context, register) (*topic, error)
	ways int
}{
	"avro":           {orders, orderWays},
	"protobuf":       {payments, paymentWays},
	"confluent-json": {clicks, clickWays},
	"debezium-avro":  {customers, customerWays},
	"debezium-json":  {products, productWays},
}

// numbered gives schemas ids in the order in which they come.
func numbered() register {
	n := 0
	return func(context.Context, string, registry.Schema) (int, error) {
		n++
		return n, nil
	}
}

func TestEveryTopicHasWholeAndBrokenRecords(t *testing.T) {
	for name, test := range makers {
		t.Run(name, func(t *testing.T) {
			made, err := test.make(t.Context(), numbered())
			if err != nil {
				t.Fatal(err)
			}
			f, values := fates{}, map[string]bool{}
			for i := range breakEvery * test.ways {
				s, err := made.sample(i)
				if err != nil {
					t.Fatalf("record %d: %v", i, err)
				}
				if dead := broken(i, test.ways) != -1; dead != (s.letter != nil) || dead && len(s.rows) > 0 {
					t.Errorf("record %d: got letter %v and %d rows, want a letter alone: %v", i, s.letter, len(s.rows), dead)
				}
				f.add(s)
				values[string(s.Value)] = true
			}
			if got := len(f.Letters); got != test.ways {
				t.Errorf("got %d letters, want one of each of %d ways", got, test.ways)
			}
			if got, want := f.WithRows+f.Filtered+int64(len(f.Letters)), f.Delivered; got != want {
				t.Errorf("got %d fates of %d records", got, want)
			}
			// Those without a value are alike.
			if got, want := int64(len(values)), f.Delivered-f.Filtered-1; got < want {
				t.Errorf("got %d different values, want %d or more", got, want)
			}
		})
	}
}

func TestColumnsThatAreExpectedAreDeclared(t *testing.T) {
	for name, test := range makers {
		made, err := test.make(t.Context(), numbered())
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for i := range 2 * secondFrom {
			s, err := made.sample(i)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range s.rows {
				for column := range r {
					seen[column] = true
				}
			}
		}
		for _, c := range made.columns {
			if !seen[c[0]] && c[0] != "unavailable_columns" {
				t.Errorf("%s: no row has a value in column %s", name, c[0])
			}
			delete(seen, c[0])
		}
		if len(seen) > 0 {
			t.Errorf("%s: rows have values in %v, which are no columns", name, seen)
		}
	}
}

func TestUnscaledValuesAreAsShortAsCanBe(t *testing.T) {
	for n, want := range map[int64]string{0: "\x00", 127: "\x7f", 128: "\x00\x80", -1: "\xff", -128: "\x80", -129: "\xff\x7f", 10_170: "\x27\xba"} {
		if got := string(twos(n)); got != want {
			t.Errorf("%d: got %x, want %x", n, got, want)
		}
	}
}
