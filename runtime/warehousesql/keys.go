package warehousesql

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
)

// check compares a key with what the engine computes.
func (r renderer) check(t Table, k Key) (Statement, error) {
	expression, err := r.key(t, k.Parts)
	if err != nil {
		return Statement{}, fmt.Errorf("model %s: key %s: %w", t.Model, k.Column, err)
	}
	column := r.quote(k.Column)
	sql := fmt.Sprintf("SELECT count(*) AS wrong_keys\nFROM %s\nWHERE %s <> %s", r.table(r.project, t), column, indent(expression))
	if k.Unknown != "" {
		sql += fmt.Sprintf("\n  AND %s <> %s", column, literal(k.Unknown))
	}
	return Statement{Purpose: Check, Model: t.Model, Column: k.Column, Expression: expression, SQL: sql}, nil
}

func indent(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }

// key is the expression of a surrogate key: record.SurrogateKeys, and thus
// dbt_utils.generate_surrogate_key over the same texts (invariant 8).
func (r renderer) key(t Table, parts []string) (string, error) {
	texts := make([]string, len(parts))
	for i, name := range parts {
		at := t.Columns.FieldIndices(name)
		if len(at) != 1 {
			return "", fmt.Errorf("the table has no column %s", name)
		}
		text, err := r.keyText(name, t.Columns.Field(at[0]).Type)
		if err != nil {
			return "", err
		}
		texts[i] = fmt.Sprintf("coalesce(%s, %s)", text, literal(record.NullKeyPart))
	}
	return r.md5(strings.Join(texts, "\n  || '-' || ")), nil
}

// keyText is the text of a part.
func (r renderer) keyText(name string, t arrow.DataType) (string, error) {
	column := r.quote(name)
	switch t.ID() {
	case arrow.STRING:
		return column, nil
	case arrow.INT32, arrow.INT64:
		return fmt.Sprintf("CAST(%s AS %s)", column, r.text), nil
	case arrow.DATE32:
		return r.day(column), nil
	case arrow.BOOL:
		return fmt.Sprintf("CASE WHEN %s THEN 'true' WHEN NOT %s THEN 'false' END", column, column), nil
	case arrow.TIMESTAMP:
		if arrow.TypeEqual(t, record.Timestamptz) {
			return fmt.Sprintf("CAST(%s%s) AS %s)", r.micros, column, r.text), nil
		}
	}
	return "", fmt.Errorf("column %s is %s, which cannot be part of a key", name, record.FormatType(t))
}
