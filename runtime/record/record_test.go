package record

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestTypesReadBackAsWritten(t *testing.T) {
	for _, text := range []string{
		"boolean", "int", "long", "float", "double", "decimal(10,2)", "decimal(38,0)", "string", "binary", "date", "timestamp", "timestamptz",
		"list<string>", "map<string, long>", "struct<a: int, b: list<struct<c: decimal(9,3)>>>", "map<int, map<string, date>>",
	} {
		typ, err := ParseType(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := FormatType(typ); got != text {
			t.Errorf("%s is written as %s", text, got)
		}
	}
}

func TestTypeErrorsSayWhatToUse(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "expected a type at character 1",
		"uuid":                   "use string",
		"timestamp_ns":           "use timestamp",
		"bool":                   "use boolean",
		"strin":                  `unknown type "strin"`,
		"decimal":                "decimal(10,2)",
		"decimal(39,0)":          "1 to 38",
		"decimal(5,6)":           "0 to the precision",
		"list<int":               `expected ">" at character 9`,
		"list<int> x":            `unexpected "x"`,
		"struct<a: int, A: int>": "twice",
		"struct<>":               "expected a field name",
		"map<string>":            `expected ","`,
		strings.Repeat("list<", 20) + "int" + strings.Repeat(">", 20): "nested deeper than 8",
	} {
		if _, err := ParseType(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want a message with %q", text, err, want)
		}
	}
}

func TestPositionsCountTheRowsOfEachRecord(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	schema := arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.PrimitiveTypes.Int64}}, nil)
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2, 3, 4}, nil)
	source := &Slice{
		TopicPartition: TopicPartition{Topic: "t", Partition: 3}, IngestedAt: 77,
		Records: []Record{{Offset: 10, Timestamp: 1}, {Offset: 12, Timestamp: 2}, {Offset: 15, Timestamp: 3}},
	}
	batch := Batch{Rows: b.NewRecordBatch(), Records: []int32{0, 2, 2, 2}, Source: source}
	defer batch.Release()
	got, err := WithPositions(batch, mem)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	for name, want := range map[string]string{
		"v": "[1 2 3 4]", ColumnTopic: `["t" "t" "t" "t"]`, ColumnPartition: "[3 3 3 3]", ColumnOffset: "[10 15 15 15]", ColumnRow: "[0 0 1 2]",
		ColumnTimestamp: "[1 3 3 3]", ColumnIngestedAt: "[77 77 77 77]",
	} {
		if column := fmt.Sprint(got.Column(got.Schema().FieldIndices(name)[0])); column != want {
			t.Errorf("%s = %s, want %s", name, column, want)
		}
	}
	for i, f := range PositionFields() {
		if have := got.Schema().Field(1 + i); have.Name != f.Name || !arrow.TypeEqual(have.Type, f.Type) || !IsPositionColumn(f.Name) {
			t.Errorf("column %d is %v, want %v", 1+i, have, f)
		}
	}
}

func TestTopicPartitionsSortByTopicThenNumber(t *testing.T) {
	a2, a10, b0 := TopicPartition{"a", 2}, TopicPartition{"a", 10}, TopicPartition{"b", 0}
	if a2.Compare(a10) >= 0 || a10.Compare(b0) >= 0 || b0.Compare(a2) <= 0 || a2.Compare(a2) != 0 {
		t.Error("wrong order")
	}
}

func TestSafeNamesAreSnakeCase(t *testing.T) {
	for field, want := range map[string]string{
		"orderId": "order_id", "OrderID": "order_id", "order-id": "order_id", "HTTPServer": "http_server", "already_safe": "already_safe",
		"_id": "id", "2fa": "field_2fa", "a..b": "a_b", "größe": "gr_e", "id2": "id2", "UPPER": "upper", "x__y": "x_y",
	} {
		got, err := SafeName(field)
		if err != nil || got != want || !IsName(got) {
			t.Errorf("SafeName(%q) = %q, %v, want %q", field, got, err, want)
		}
	}
	for _, field := range []string{"", "日本", "___", "kafkaOffset", "change-op", strings.Repeat("a", 200)} {
		if got, err := SafeName(field); err == nil {
			t.Errorf("SafeName(%q) = %q, want an error", field, got)
		}
	}
}

func TestPositionsKeepGivenOrdinalsAndChanges(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	rows := array.NewRecordBuilder(mem, arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.PrimitiveTypes.Int64}}, nil))
	defer rows.Release()
	rows.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2}, nil)
	changes := array.NewRecordBuilder(mem, arrow.NewSchema(ChangeFields(), nil))
	defer changes.Release()
	for _, op := range []string{"d", "c"} {
		changes.Field(0).(*array.StringBuilder).Append(op)
		changes.Field(1).AppendNull()
		changes.Field(2).AppendNull()
		changes.Field(3).(*array.ListBuilder).Append(true)
	}
	batch := Batch{
		Rows: rows.NewRecordBatch(), Changes: changes.NewRecordBatch(), Records: []int32{0, 0}, Ordinals: []int32{1, 4},
		Source: &Slice{Records: make([]Record, 1)},
	}
	defer batch.Release()
	got, err := WithPositions(batch, mem)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	for name, want := range map[string]string{ColumnRow: "[1 4]", ColumnChangeOp: `["d" "c"]`} {
		if column := fmt.Sprint(got.Column(got.Schema().FieldIndices(name)[0])); column != want {
			t.Errorf("%s = %s, want %s", name, column, want)
		}
	}
}
