package plugins

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/calvelake/calve/sdk/abi"
)

// sampleRows is how many rows are generated.
const sampleRows = 64

// samples are rows of the columns that the plugin says it needs, with nulls
// where they may be: so a plugin without fixtures is run too. What it makes of
// them is its own business, as long as it always makes the same.
func (j *judgement) samples() []Fixture {
	columns := j.describe.Input.Columns
	if len(columns) == 0 {
		return nil
	}
	rows := make([]Row, sampleRows)
	for i := range rows {
		rows[i] = Row{}
		for k, c := range columns {
			if c.IsNullable() && (i+k)%7 == 3 {
				continue
			}
			rows[i][c.Name] = json.RawMessage(sampleValue(c, i))
		}
	}
	return []Fixture{{Name: "generated rows", Rows: rows, generated: true}}
}

// sampleValue is the JSON of value i of a column.
func sampleValue(c abi.Column, i int) string {
	switch {
	case c.Format == "b":
		return fmt.Sprint(i%2 == 0)
	case c.Format == "i", c.Format == "l":
		return fmt.Sprint(i*i*i - 1000)
	case c.Format == "f", c.Format == "g":
		return fmt.Sprint(float64(i)/8 - 1)
	case c.Format == "z":
		return `"` + strings.Repeat("AAEC", i%5) + `"`
	case c.Format == "tdD":
		return fmt.Sprintf(`"20%02d-01-%02d"`, i, 1+i%28)
	case strings.HasPrefix(c.Format, "tsu:"):
		zone := ""
		if c.Format != "tsu:" {
			zone = "Z"
		}
		return fmt.Sprintf(`"2026-01-%02dT%02d:04:05.%06d%s"`, 1+i%28, i%24, i*7919, zone)
	case strings.HasPrefix(c.Format, "d:"):
		return fmt.Sprintf(`"%d"`, i%10)
	case c.Format == "+l" && len(c.Children) == 1:
		return "[" + strings.Join(repeated(c.Children[0], i, i%3), ",") + "]"
	case c.Format == "+s":
		fields := make([]string, len(c.Children))
		for k, child := range c.Children {
			fields[k] = fmt.Sprintf("%q:%s", child.Name, sampleValue(child, i+k))
		}
		return "{" + strings.Join(fields, ",") + "}"
	case c.Format == "+m":
		return "[]"
	}
	return fmt.Sprintf(`"%s %d"`, strings.Repeat("aé", i%4), i)
}

func repeated(c abi.Column, i, n int) []string {
	values := make([]string, n)
	for k := range values {
		values[k] = sampleValue(c, i+k)
	}
	return values
}
