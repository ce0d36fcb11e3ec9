package decode

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// append adds a cell's value to the builder of its type.
func (v *valueType) append(to array.Builder, c *cell) {
	if c.null {
		to.AppendNull()
		return
	}
	switch to := to.(type) {
	case *array.BooleanBuilder:
		to.Append(c.i == 1)
	case *array.Int32Builder:
		to.Append(int32(c.i))
	case *array.Int64Builder:
		to.Append(c.i)
	case *array.Float32Builder:
		to.Append(float32(c.f))
	case *array.Float64Builder:
		to.Append(c.f)
	case *array.Decimal128Builder:
		to.Append(c.decimal)
	case *array.StringBuilder:
		to.BinaryBuilder.Append(c.bytes)
	case *array.BinaryBuilder:
		to.Append(c.bytes)
	case *array.Date32Builder:
		to.Append(arrow.Date32(c.i))
	case *array.TimestampBuilder:
		to.Append(arrow.Timestamp(c.i))
	case *array.StructBuilder:
		to.Append(true)
		for i := range v.fields {
			v.fields[i].value.append(to.FieldBuilder(i), &c.kids[i])
		}
	case *array.MapBuilder:
		to.Append(true)
		for i := 0; i < len(c.kids); i += 2 {
			v.fields[0].value.append(to.KeyBuilder(), &c.kids[i])
			v.fields[1].value.append(to.ItemBuilder(), &c.kids[i+1])
		}
	case *array.ListBuilder:
		to.Append(true)
		for i := range c.kids {
			v.fields[0].value.append(to.ValueBuilder(), &c.kids[i])
		}
	}
}
