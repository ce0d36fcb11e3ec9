package cdata

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/sdk/abi"
)

func TestOutputEqualsWhatWasWritten(t *testing.T) {
	whole := sample()
	for from := range int64(4) {
		for to := from; to <= 4; to++ {
			rows := whole.NewSlice(from, to)
			got, err := newImage(rows).read(Want{})
			if err != nil {
				t.Fatalf("rows %d to %d: %v", from, to, err)
			}
			if !array.RecordEqual(got.Rows, rows) || got.Origin != nil {
				t.Errorf("rows %d to %d: got %v, origin %v, want %v", from, to, got.Rows, got.Origin, rows)
			}
		}
	}
}

func TestSelectionAndDroppedRowsAreLeftOut(t *testing.T) {
	for _, c := range []struct {
		name      string
		selection []byte
		dropped   []bool
		want      []int32
	}{
		{"selection", []byte{0b1011}, nil, []int32{0, 1, 3}},
		{"bits beyond the rows", []byte{0b11111000}, nil, []int32{3}},
		{"nothing selected", []byte{0}, nil, []int32{}},
		{"dropped", nil, []bool{false, true, false, true}, []int32{0, 2}},
		{"both", []byte{0b0111}, []bool{true, false, false, false}, []int32{1, 2}},
	} {
		im := newImage(sample())
		if c.selection != nil {
			im.output.Selection = im.add(c.selection)
		}
		got, err := im.read(Want{Dropped: c.dropped})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !slices.Equal(got.Origin, c.want) || got.Rows.NumRows() != int64(len(c.want)) {
			t.Fatalf("%s: got origin %v, %d rows, want %v", c.name, got.Origin, got.Rows.NumRows(), c.want)
		}
		for i, at := range c.want {
			row, want := got.Rows.NewSlice(int64(i), int64(i)+1), im.batch.NewSlice(int64(at), int64(at)+1)
			if !array.RecordEqual(row, want) {
				t.Errorf("%s: row %d: got %v, want %v", c.name, i, row, want)
			}
		}
	}
}

func TestRowsMapToInput(t *testing.T) {
	im := newImage(sample())
	im.output.Rows = im.add(arrow.Int32Traits.CastToBytes([]int32{0, 5, 5, 9}))
	got, err := im.read(Want{Input: 10})
	if err != nil || !slices.Equal(got.Origin, []int32{0, 5, 5, 9}) {
		t.Fatalf("got %v, %v", got.Origin, err)
	}
	dropped := make([]bool, 10)
	dropped[5] = true
	got, err = im.read(Want{Input: 10, Dropped: dropped})
	if err != nil || !slices.Equal(got.Origin, []int32{0, 9}) {
		t.Errorf("got %v, %v", got.Origin, err)
	}
}

func TestGuestMayReturnOffsets(t *testing.T) {
	rows := sample()
	for _, nested := range []bool{false, true} {
		im := newImage(rows)
		if nested { // the struct array begins at row 1 of its columns
			im.put64(im.output.Array+abi.ArrayOffset, 1)
			im.put64(im.output.Array+abi.ArrayLength, 3)
		} else { // each column does, but for the first level
			im.put64(im.output.Array+abi.ArrayLength, 3)
			for i := range int(rows.NumCols()) {
				im.put64(im.column(i)+abi.ArrayOffset, 1)
				im.put64(im.column(i)+abi.ArrayLength, 3)
				im.put64(im.column(i)+abi.ArrayNullCount, -1)
			}
		}
		got, err := im.read(Want{Input: 3})
		if err != nil {
			t.Fatalf("nested %v: %v", nested, err)
		}
		if want := rows.NewSlice(1, 4); !array.RecordEqual(got.Rows, want) {
			t.Errorf("nested %v: got %v, want %v", nested, got.Rows, want)
		}
	}
}

// dictionaryImage returns three rows of one string column, dictionary-encoded.
func dictionaryImage(format string, indexes []byte) *image {
	values := fromJSON(arrow.NewSchema([]arrow.Field{nullable("s", arrow.BinaryTypes.String)}, nil), `[{"s":"yes"},{"s":"no"},{"s":null}]`)
	im := newImage(values)
	dictionary := im.column(0)
	encoded := im.add(slices.Clone(im.memory[dictionary : dictionary+abi.ArraySize]))
	pointers := im.add(make([]byte, 8))
	im.put32(pointers+4, im.add(indexes))
	im.put64(encoded+abi.ArrayNullCount, 0)
	im.put64(encoded+abi.ArrayNBuffers, 2)
	im.put32(encoded+abi.ArrayBuffers, pointers)
	im.put32(encoded+abi.ArrayDictionary, dictionary)
	im.put32(u32(im.memory, int(im.output.Array)+abi.ArrayChildren), encoded)

	s := values.Schema()
	size, _ := SchemaBytes(s)
	arena := make([]byte, size)
	address := im.add(arena)
	root, err := WriteSchema(im.memory[address:], address, s)
	if err != nil {
		panic(err)
	}
	child := u32(im.memory, int(u32(im.memory, int(root)+abi.SchemaChildren)))
	plain := im.add(slices.Clone(im.memory[child : child+abi.SchemaSize]))
	im.put32(child+abi.SchemaDictionary, plain)
	im.put32(child+abi.SchemaFormat, im.add([]byte(format+"\x00")))
	im.output.Schema = root
	return im
}

func TestDictionaryEncodedStringsBecomePlain(t *testing.T) {
	for format, indexes := range map[string][]byte{
		"c": {1, 0, 2}, "C": {1, 0, 2}, "s": {1, 0, 0, 0, 2, 0}, "S": {1, 0, 0, 0, 2, 0},
		"i": {1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0}, "I": {1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0},
	} {
		im := dictionaryImage(format, indexes)
		got, err := im.read(Want{})
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		s := got.Rows.Column(0).(*array.String)
		if s.Value(0) != "no" || s.Value(1) != "yes" || !s.IsNull(2) || s.NullN() != 1 {
			t.Errorf("%s: got %v", format, s)
		}
	}
	if _, err := dictionaryImage("c", []byte{1, 0, 0xff}).read(Want{}); !errors.Is(err, ErrOutput) || !strings.Contains(err.Error(), "index -1") {
		t.Errorf("index -1: got %v", err)
	}
	if _, err := dictionaryImage("l", make([]byte, 24)).read(Want{}); !errors.Is(err, ErrOutput) || !strings.Contains(err.Error(), "int8 to int32") {
		t.Errorf("int64 indexes: got %v", err)
	}
}

func TestNullInRequiredColumnCountsOnlyInKeptRows(t *testing.T) {
	schema := sampleSchema()
	fields := slices.Clone(schema.Fields())
	fields[colS].Nullable = false
	required := arrow.NewSchema(fields, nil)
	if _, err := newImage(sample()).read(Want{Schema: required}); !errors.Is(err, ErrOutput) || !strings.Contains(err.Error(), `"s"`) {
		t.Errorf("got %v", err)
	}
	got, err := newImage(sample()).read(Want{Schema: required, Dropped: []bool{false, true, false, false}})
	if err != nil || got.Rows.NumRows() != 3 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestBytesBehindNullsNeedNotBeText(t *testing.T) {
	im := newImage(sample())
	s := im.column(colS)
	// Give the null in row 1 the first byte of row 2's text "drei €", then spoil it.
	offsets := im.buffer(s, 1)
	im.put32(offsets+8, u32(im.memory, int(offsets+8))+1)
	im.memory[im.buffer(s, 2)+3] = 0xff
	if _, err := im.read(Want{}); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestHostileOutputIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(im *image)
		text  string
	}{
		{"array outside memory", func(im *image) { im.output.Array = 1 << 31 }, "outside the memory"},
		{"array at the end of memory", func(im *image) { im.output.Array = uint32(len(im.memory)-8) &^ 7 }, "outside the memory"},
		{"array not aligned", func(im *image) { im.output.Array++ }, "not aligned"},
		{"negative length", func(im *image) { im.put64(im.output.Array+abi.ArrayLength, -1) }, "length -1"},
		{"length that overflows", func(im *image) { im.put64(im.column(colN)+abi.ArrayLength, 1<<62) }, "length"},
		{"negative offset", func(im *image) { im.put64(im.column(colN)+abi.ArrayOffset, -1) }, "offset -1"},
		{"offset that overflows", func(im *image) { im.put64(im.column(colS)+abi.ArrayOffset, 1<<31-1) }, "offset"},
		{"offset beyond the buffer", func(im *image) { im.put64(im.column(colN)+abi.ArrayOffset, 1<<20) }, "outside the memory"},
		{"fewer rows than the batch", func(im *image) { im.put64(im.output.Array+abi.ArrayLength, 3) }, "no mapping"},
		{"column too short", func(im *image) {
			im.put64(im.column(colN)+abi.ArrayLength, 2)
			im.put64(im.column(colN)+abi.ArrayNullCount, -1)
		}, "2 rows, the output has 4"},
		{"too few columns", func(im *image) { im.put64(im.output.Array+abi.ArrayNChildren, 2) }, "2 columns, 7 are declared"},
		{"children outside memory", func(im *image) { im.put32(im.output.Array+abi.ArrayChildren, 0xfffffff0) }, "outside the memory"},
		{"lying null count", func(im *image) { im.put64(im.column(colS)+abi.ArrayNullCount, 3) }, "null_count is 3, but the validity bitmap has 1"},
		{"null count without bitmap", func(im *image) { im.put32(im.bufferAt(im.column(colS), 0), 0) }, "no validity bitmap"},
		{"validity outside memory", func(im *image) { im.put32(im.bufferAt(im.column(colS), 0), 0xffffffff) }, "outside the memory"},
		{"values outside memory", func(im *image) { im.put32(im.bufferAt(im.column(colN), 1), 0xfffffff8) }, "outside the memory"},
		{"values missing", func(im *image) { im.put32(im.bufferAt(im.column(colN), 1), 0) }, "missing"},
		{"values not aligned", func(im *image) { im.put32(im.bufferAt(im.column(colN), 1), base+4) }, "not aligned to 8"},
		{"wrong number of buffers", func(im *image) { im.put64(im.column(colN)+abi.ArrayNBuffers, 3) }, "3 buffers, a long has 2"},
		{"children of a number", func(im *image) { im.put64(im.column(colN)+abi.ArrayNChildren, 1) }, "1 children"},
		{"dictionary nobody announced", func(im *image) { im.put32(im.column(colS)+abi.ArrayDictionary, im.column(colS)) }, "dictionary"},
		{"offsets outside memory", func(im *image) { im.put32(im.bufferAt(im.column(colS), 1), 0xfffffffc) }, "outside the memory"},
		{"negative string offset", func(im *image) { im.put32(im.buffer(im.column(colS), 1), 0x80000000) }, "negative"},
		{"decreasing string offsets", func(im *image) { im.put32(im.buffer(im.column(colS), 1)+4, 1000) }, "decrease"},
		{"string beyond memory", func(im *image) { im.put32(im.buffer(im.column(colS), 1)+16, 1<<19) }, "outside the memory"},
		{"text that is no UTF-8", func(im *image) { im.memory[im.buffer(im.column(colS), 2)] = 0xff }, "row 0 is not UTF-8"},
		{"text that ends inside a rune", func(im *image) {
			im.put32(im.buffer(im.column(colS), 1)+12, 10)
		}, "not UTF-8"},
		{"decimal beyond its precision", func(im *image) { im.memory[im.buffer(im.column(colD), 1)+15] = 0x7f }, "more than 5 digits"},
		{"smallest decimal", func(im *image) {
			b := im.memory[im.buffer(im.column(colD), 1):][:16]
			clear(b)
			b[15] = 0x80
		}, "more than 5 digits"},
		{"list beyond its child", func(im *image) { im.put32(im.buffer(im.column(colL), 1)+16, 1000) }, "rows where 1000 are referred to"},
		{"list offsets decrease", func(im *image) { im.put32(im.buffer(im.column(colL), 1)+8, 0) }, "decrease"},
		{"list without a child", func(im *image) { im.put64(im.column(colL)+abi.ArrayNChildren, 0) }, "0 children"},
		{"text in a list", func(im *image) { im.memory[im.buffer(im.child(im.column(colL), 0), 2)] = 0xc0 }, "not UTF-8"},
		{"struct beyond its field", func(im *image) {
			im.put64(im.child(im.column(colT), 0)+abi.ArrayLength, 1)
			im.put64(im.child(im.column(colT), 0)+abi.ArrayNullCount, -1)
		}, "1 rows where 4"},
		{"null map key", func(im *image) {
			key := im.child(im.child(im.column(colM), 0), 0)
			im.put32(im.bufferAt(key, 0), im.add([]byte{0}))
			im.put64(key+abi.ArrayNullCount, -1)
		}, "cannot be null"},
		{"list that contains itself", func(im *image) {
			im.put32(u32(im.memory, int(im.column(colL))+abi.ArrayChildren), im.column(colL))
		}, "2 buffers"},
		{"selection outside memory", func(im *image) { im.output.Selection = 0xffffffff }, "selection"},
		{"rows outside memory", func(im *image) { im.output.Rows = 0xfffffffc }, "rows"},
		{"rows that decrease", func(im *image) { im.output.Rows = im.add(arrow.Int32Traits.CastToBytes([]int32{0, 2, 1, 3})) }, "rows[2] is 1"},
		{"rows beyond the input", func(im *image) { im.output.Rows = im.add(arrow.Int32Traits.CastToBytes([]int32{0, 1, 2, 4})) }, "rows[3] is 4"},
		{"negative row", func(im *image) { im.output.Rows = im.add(arrow.Int32Traits.CastToBytes([]int32{-1, 1, 2, 3})) }, "rows[0] is -1"},
		{"null rows", func(im *image) { im.put64(im.output.Array+abi.ArrayNullCount, 1) }, "rows cannot be null"},
		{"schema outside memory", func(im *image) { im.output.Schema = 0xfffffff8 }, "outside the memory"},
	} {
		im := newImage(sample())
		c.spoil(im)
		_, err := im.read(Want{})
		if !errors.Is(err, ErrOutput) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
}

func TestOutputIsBoundedInRowsAndBytes(t *testing.T) {
	im := newImage(sample())
	if _, err := im.read(Want{MaxRows: 3}); !errors.Is(err, ErrOutputLimit) {
		t.Errorf("rows: got %v", err)
	}
	// Every column is the same text: it counts for each.
	r := &Reader{Memory: im.memory, Budget: 100}
	if _, err := r.Table(im.output, Want{Schema: sampleSchema(), Input: 4, MaxRows: 4}); !errors.Is(err, ErrOutputLimit) {
		t.Errorf("bytes: got %v", err)
	}
}

func TestAnnouncedSchemaIsChecked(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(im *image, root, child uint32)
		text  string
	}{
		{"another type", func(im *image, _, child uint32) {
			im.put32(child+abi.SchemaDictionary, 0)
			im.put32(child+abi.SchemaFormat, im.add([]byte("i\x00")))
		}, "declared is string"},
		{"another name", func(im *image, _, child uint32) { im.put32(child+abi.SchemaName, im.add([]byte("x\x00"))) }, `"x"`},
		{"no struct", func(im *image, root, _ uint32) { im.put32(root+abi.SchemaFormat, im.add([]byte("+l\x00"))) }, "must be a struct"},
		{"a view", func(im *image, _, child uint32) {
			im.put32(child+abi.SchemaDictionary, 0)
			im.put32(child+abi.SchemaFormat, im.add([]byte("vu\x00")))
		}, "utf8_view"},
		{"a cycle", func(im *image, _, child uint32) { im.put32(child+abi.SchemaDictionary, child) }, "nested deeper"},
		{"a name without end", func(im *image, _, child uint32) {
			im.put32(child+abi.SchemaName, im.add([]byte(strings.Repeat("x", 300)+"\x00")))
		}, "longer than 256"},
		{"many columns", func(im *image, root, _ uint32) { im.put64(root+abi.SchemaNChildren, 1<<40) }, "children"},
	} {
		im := dictionaryImage("c", []byte{0, 0, 0})
		root := im.output.Schema
		c.spoil(im, root, u32(im.memory, int(u32(im.memory, int(root)+abi.SchemaChildren))))
		if _, err := im.read(Want{}); !errors.Is(err, ErrOutput) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
}

// rowErrorImage holds row errors for a batch.
func rowErrorImage(rows string) *image {
	return newImage(fromJSON(arrow.NewSchema([]arrow.Field{
		nullable("row", arrow.PrimitiveTypes.Int32), nullable("code", arrow.BinaryTypes.String),
		nullable("column", arrow.BinaryTypes.String), nullable("message", arrow.BinaryTypes.String),
	}, nil), rows))
}

func TestRowErrors(t *testing.T) {
	im := rowErrorImage(`[
		{"row": 2, "code": "bad_time", "column": "at", "message": "no time"},
		{"row": 0, "code": "x", "column": null, "message": null},
		{"row": 2, "code": "later", "column": "", "message": "the first counts"}
	]`)
	im.memory[im.buffer(im.column(abi.RowErrorMessage), 2)] = 0xff // "no time": replaced, not refused
	got, err := (&Reader{Memory: im.memory, Budget: 1 << 20}).RowErrors(im.output.Array, 3)
	want := []RowError{{2, "bad_time", "at", "\uFFFDo time"}, {0, "x", "", ""}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for name, rows := range map[string]string{
		"row beyond the batch": `[{"row": 3, "code": "x", "column": "", "message": ""}]`,
		"null row":             `[{"row": null, "code": "x", "column": "", "message": ""}]`,
		"no code":              `[{"row": 1, "code": "", "column": "", "message": ""}]`,
		"bad code":             `[{"row": 1, "code": "Not a code", "column": "", "message": ""}]`,
	} {
		im := rowErrorImage(rows)
		if _, err := (&Reader{Memory: im.memory, Budget: 1 << 20}).RowErrors(im.output.Array, 3); !errors.Is(err, ErrOutput) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestResultStruct(t *testing.T) {
	im := &image{memory: make([]byte, base)}
	result := im.add(make([]byte, abi.ResultSize))
	output := im.add(make([]byte, abi.OutputSize))
	im.put32(result+abi.ResultStatus, 3)
	im.put32(result+abi.ResultNOutputs, 1)
	im.put32(result+abi.ResultOutputs, output)
	im.put32(result+abi.ResultMessagePtr, im.add([]byte("no such \xff table")))
	im.put32(result+abi.ResultMessageLen, 15)
	im.put32(output+abi.OutputStream, 7)
	got, err := (&Reader{Memory: im.memory}).Result(result)
	if err != nil || got.Status != 3 || got.Message != "no such \uFFFD table" || len(got.Outputs) != 1 || got.Outputs[0].Stream != 7 {
		t.Errorf("got %+v, %v", got, err)
	}
	im.put32(result+abi.ResultNOutputs, abi.MaxStreams+1)
	if _, err := (&Reader{Memory: im.memory}).Result(result); !errors.Is(err, ErrOutput) {
		t.Errorf("too many outputs: got %v", err)
	}
	if _, err := (&Reader{Memory: im.memory}).Result(0xffffffff); !errors.Is(err, ErrOutput) {
		t.Errorf("no such place: got %v", err)
	}
}

func TestLongMessagesAreCutAtARune(t *testing.T) {
	if got, want := clean([]byte("ab€cd"), 4), "ab"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := clean([]byte("ab€cd"), 5), "ab€"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
