package project

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"go.yaml.in/yaml/v4"

	"github.com/calvelake/calve/runtime/record"
)

// Transform is a partition transform of the Iceberg specification.
type Transform string

const (
	TransformIdentity Transform = "identity"
	TransformYear     Transform = "year"
	TransformMonth    Transform = "month"
	TransformDay      Transform = "day"
	TransformHour     Transform = "hour"
	TransformBucket   Transform = "bucket"
	TransformTruncate Transform = "truncate"
)

var transforms = []string{"identity", "year", "month", "day", "hour", "bucket", "truncate"}

// PartitionField is one field of a table's partition spec.
type PartitionField struct {
	Column    string
	Transform Transform
	N         int `json:",omitempty"` // buckets, or the width of truncate; 0 for the others
}

// String gives the field as a project writes it.
func (f PartitionField) String() string {
	switch f.Transform {
	case TransformIdentity:
		return f.Column
	case TransformBucket, TransformTruncate:
		return fmt.Sprintf("%s(%d, %s)", f.Transform, f.N, f.Column)
	}
	return fmt.Sprintf("%s(%s)", f.Transform, f.Column)
}

const aPartition = "a column, or a transform such as day(column), bucket(16, column), truncate(10, column)"

// partitionList reads partition_by. Within [ ] YAML ends a value at a comma, so
// that [bucket(16, id)] arrives as two items; they are put together again.
type partitionList struct{}

func (partitionList) expects() string          { return "a list, each " + aPartition }
func (partitionList) accepts(k yaml.Kind) bool { return k == yaml.SequenceNode }

func (p partitionList) read(r reader, n *yaml.Node) ([]PartitionField, bool) {
	if n.Kind != yaml.SequenceNode {
		r.wrongType(n, p.expects())
		return nil, false
	}
	if len(n.Content) == 0 {
		r.fail(n, "the list is empty, expected at least one: "+aPartition, "leave out partition_by for a table without partitions")
		return nil, false
	}
	var out []PartitionField
	for _, item := range joinCalls(n) {
		if f, ok := read(r.index(len(out)), shape[PartitionField](partitionField), item); ok {
			out = append(out, f)
		}
	}
	return out, true
}

func joinCalls(n *yaml.Node) []*yaml.Node {
	var out []*yaml.Node
	for _, item := range n.Content {
		if len(out) > 0 && n.Style&yaml.FlowStyle != 0 && item.Kind == yaml.ScalarNode {
			last := out[len(out)-1]
			if last.Kind == yaml.ScalarNode && strings.Contains(last.Value, "(") && !strings.Contains(last.Value, ")") {
				whole := *last
				whole.Value += ", " + item.Value
				out[len(out)-1] = &whole
				continue
			}
		}
		out = append(out, item)
	}
	return out
}

func (partitionList) describe(*definitions) jsonSchema {
	// Either half of a call that YAML split is accepted: see partitionList.
	const halves = `^([a-z][a-z0-9_]*|(year|month|day|hour|identity)\([a-z][a-z0-9_]*\)|(bucket|truncate)\([0-9]+(, *[a-z][a-z0-9_]*\))?|[a-z][a-z0-9_]*\))$`
	return jsonSchema{"type": "array", "minItems": 1, "items": jsonSchema{"type": "string", "pattern": halves}}
}

var partitionText = regexp.MustCompile(`^([a-z]+)\((?:([0-9]+), *)?([a-z][a-z0-9_]*)\)$`)

var partitionField = scalar[PartitionField]{what: aPartition, fixed: true, parse: func(text string) (PartitionField, error) {
	if record.IsName(text) {
		return PartitionField{Column: text, Transform: TransformIdentity}, nil
	}
	m := partitionText.FindStringSubmatch(text)
	if m == nil {
		return PartitionField{}, fmt.Errorf("%q is no partition field, expected %s", excerpt(text), aPartition)
	}
	f := PartitionField{Column: m[3], Transform: Transform(m[1])}
	switch f.Transform {
	case TransformIdentity, TransformYear, TransformMonth, TransformDay, TransformHour:
		if m[2] != "" {
			return PartitionField{}, hintedError{fmt.Sprintf("%q: %s takes a column alone", text, f.Transform), fmt.Sprintf("write %s(%s)", f.Transform, f.Column)}
		}
		return f, nil
	case TransformBucket, TransformTruncate:
		n, err := strconv.ParseInt(m[2], 10, 32)
		if err != nil || n < 1 {
			return PartitionField{}, hintedError{fmt.Sprintf("%q: %s takes a number from 1 and a column", text, f.Transform), fmt.Sprintf("write %s(16, %s)", f.Transform, f.Column)}
		}
		f.N = int(n)
		return f, nil
	}
	return PartitionField{}, hintedError{fmt.Sprintf("unknown transform %q, expected one of %s", m[1], listed(transforms)), didYouMean(m[1], transforms)}
}}

// checkType says why a column of type t cannot be partitioned so, or nil.
// Binary columns are refused: Databricks reads no tables partitioned by them.
func (f PartitionField) checkType(t arrow.DataType) error {
	ok, expected := true, ""
	switch f.Transform {
	case TransformIdentity:
		_, nested := t.(arrow.NestedType)
		ok, expected = !nested && !isBinary(t), "neither binary, struct, list nor map"
	case TransformYear, TransformMonth, TransformDay:
		ok, expected = isTime(t) || isDate(t), "date, timestamp or timestamptz"
	case TransformHour:
		ok, expected = isTime(t), "timestamp or timestamptz"
	case TransformBucket:
		ok, expected = isInteger(t) || isDecimal(t) || isTime(t) || isDate(t) || isText(t), "int, long, decimal, date, timestamp, timestamptz or string"
	case TransformTruncate:
		ok, expected = isInteger(t) || isDecimal(t) || isText(t), "int, long, decimal or string"
	}
	if ok {
		return nil
	}
	return fmt.Errorf("expected a column of type %s", expected)
}

// SortField is one field of a table's sort order.
type SortField struct {
	Column     string
	Descending bool
}

const sortPattern = `^[a-z][a-z0-9_]*( (asc|desc))?$`

var sortText = regexp.MustCompile(sortPattern)

var sortField = patterned("a column, optionally with asc or desc", sortPattern, func(text string) (SortField, error) {
	if !sortText.MatchString(text) {
		return SortField{}, fmt.Errorf("%q is no sort field, expected a column, optionally with asc or desc", excerpt(text))
	}
	column, direction, _ := strings.Cut(text, " ")
	return SortField{Column: column, Descending: direction == "desc"}, nil
}).literal()
