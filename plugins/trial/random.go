package trial

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Random makes rows: ordinary values, edge values, nulls where they may be. The
// same seed makes the same ones.
type Random struct {
	*rand.Rand
	texts []string // of the author's cases: shaped as the plugin expects them
}

// NewRandom makes rows of a seed. Texts are often those of cases, or changed a
// little.
func NewRandom(seed uint64, cases []Case) *Random {
	return &Random{Rand: rand.New(rand.NewPCG(seed, 0)), texts: textsOf(cases)}
}

// batch makes rows of a schema. Now and then a column is null throughout, and
// the batch a slice of a longer one.
func (r *Random) batch(schema *arrow.Schema, rows int) arrow.RecordBatch {
	before := 0
	if r.IntN(4) == 0 {
		before = 1 + r.IntN(70)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i, field := range schema.Fields() {
		nulls := [...]int{0, 10, 50, 100}[r.IntN(4)]
		for range before + rows {
			r.appendField(b.Field(i), field, nulls)
		}
	}
	whole := b.NewRecordBatch()
	if before == 0 {
		return whole
	}
	defer whole.Release()
	return whole.NewSlice(int64(before), int64(before+rows))
}

func (r *Random) appendField(b array.Builder, field arrow.Field, nulls int) {
	if field.Nullable && r.IntN(100) < nulls {
		b.AppendNull()
		return
	}
	r.append(b, field.Type, nulls)
}

func (r *Random) append(b array.Builder, t arrow.DataType, nulls int) {
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	case *array.Int32Builder:
		b.Append(int32(r.integer(math.MinInt32, math.MaxInt32)))
	case *array.Int64Builder:
		b.Append(r.integer(math.MinInt64, math.MaxInt64))
	case *array.Float32Builder:
		b.Append(float32(r.float()))
	case *array.Float64Builder:
		b.Append(r.float())
	case *array.StringBuilder:
		b.Append(r.text())
	case *array.BinaryBuilder:
		b.Append(r.bytes())
	case *array.Date32Builder:
		b.Append(arrow.Date32(r.integer(-719162, 2932896))) // years 1 to 9999
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(r.integer(-62135596800000000, 253402300799999999))) // years 1 to 9999
	case *array.Decimal128Builder:
		b.Append(r.decimal(t.(*arrow.Decimal128Type).Precision))
	case *array.StructBuilder:
		b.Append(true)
		for i, field := range t.(*arrow.StructType).Fields() {
			r.appendField(b.FieldBuilder(i), field, nulls)
		}
	case *array.MapBuilder:
		r.appendMap(b, t.(*arrow.MapType), nulls)
	case *array.ListBuilder:
		b.Append(true)
		for range r.few() {
			r.appendField(b.ValueBuilder(), t.(*arrow.ListType).ElemField(), nulls)
		}
	default:
		panic(fmt.Sprintf("BUG: no random values of type %s, which plugins may have", t))
	}
}

func (r *Random) appendMap(b *array.MapBuilder, t *arrow.MapType, nulls int) {
	b.Append(true)
	for range r.few() {
		r.append(b.KeyBuilder(), t.KeyType(), nulls)
		r.appendField(b.ItemBuilder(), t.ItemField(), nulls)
	}
}

// few is a length: mostly short, 0 often.
func (r *Random) few() int {
	if r.IntN(3) == 0 {
		return 0
	}
	return r.IntN(5)
}

// integer is one of the bounds, near 0, or anything between.
func (r *Random) integer(least, most int64) int64 {
	switch r.IntN(8) {
	case 0:
		return [...]int64{least, most, least + 1, most - 1}[r.IntN(4)]
	case 1, 2, 3:
		return r.Int64N(201) - 100
	case 4:
		return 0
	}
	if span := uint64(most) - uint64(least); span != math.MaxUint64 {
		return int64(uint64(least) + r.Uint64N(span+1))
	}
	return int64(r.Uint64())
}

func (r *Random) float() float64 {
	edges := [...]float64{0, math.Copysign(0, -1), 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 53}
	switch r.IntN(4) {
	case 0:
		return edges[r.IntN(len(edges))]
	case 1:
		return float64(r.integer(-1000, 1000)) / 4
	case 2:
		return r.NormFloat64() * 1e6
	}
	return math.Float64frombits(r.Uint64())
}

// alphabets are characters of one to four bytes, those that formats are made
// of, and those that programs trip over.
var alphabets = [][]rune{
	[]rune("abcdefghijklmnopqrstuvwxyz"), []rune("0123456789.-+eE:TZ "), []rune("{}[]\",:\\/<>&%'"),
	[]rune("äßéñЖ日本語🙂\u0301\u200b\ufeff"), []rune("\x00\t\r\n\x7f"),
}

// text is of the author's cases, or changed a little, or made of characters.
func (r *Random) text() string {
	if len(r.texts) > 0 && r.IntN(2) == 0 {
		text := []rune(r.texts[r.IntN(len(r.texts))])
		if at := r.IntN(len(text) + 1); r.IntN(2) == 0 {
			switch r.IntN(3) {
			case 0:
				text = text[:at]
			case 1:
				text = append(append(append([]rune{}, text[:at]...), r.runes(1)...), text[at:]...)
			case 2:
				text = append(append([]rune{}, text...), text[at:]...)
			}
		}
		return string(text)
	}
	switch r.IntN(20) {
	case 0, 1, 2:
		return ""
	case 3:
		return strings.Repeat(string(r.runes(3)), r.IntN(300))
	}
	return string(r.runes(1 + r.IntN(20)))
}

func (r *Random) runes(n int) []rune {
	alphabet := alphabets[r.IntN(len(alphabets))]
	text := make([]rune, n)
	for i := range text {
		text[i] = alphabet[r.IntN(len(alphabet))]
	}
	return text
}

func (r *Random) bytes() []byte {
	b := make([]byte, r.few()*r.few())
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (r *Random) decimal(precision int32) decimal128.Num {
	most := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	most.Sub(most, big.NewInt(1))
	n := new(big.Int)
	switch r.IntN(4) {
	case 0:
		n.Set(most)
	case 1:
		n.SetInt64(r.Int64N(100)).Rem(n, new(big.Int).Add(most, big.NewInt(1)))
	default:
		n.SetUint64(r.Uint64()).Lsh(n, uint(r.IntN(64))).Rem(n, new(big.Int).Add(most, big.NewInt(1)))
	}
	if r.IntN(2) == 0 {
		n.Neg(n)
	}
	return decimal128.FromBigInt(n)
}

// textsOf is the texts in the rows of cases.
func textsOf(cases []Case) []string {
	var texts []string
	for _, c := range cases {
		rows, err := parseRows("input", c.Input.Rows)
		if err != nil {
			continue // who runs the case is told
		}
		for _, row := range rows {
			for name, value := range row {
				var text string
				if !strings.HasPrefix(name, "_") && json.Unmarshal(value, &text) == nil && len(text) < math.MaxUint16 {
					texts = append(texts, text)
				}
			}
		}
	}
	slices.Sort(texts) // a seed gives the same rows whatever the order of a map
	return texts
}
