package record

import (
	"fmt"
	"regexp"
	"strings"
)

// NamePattern is what every warehouse takes as a name without quotes: lower
// case alone, since engines fold case in different directions, and a letter
// first, since names of metadata columns and BigQuery's reserved prefixes
// begin with an underscore.
const NamePattern = `^[a-z][a-z0-9_]*$`

// MaxName is Redshift's limit, the lowest of the supported warehouses.
const MaxName = 127

var nameText = regexp.MustCompile(NamePattern)

// IsName tells whether text is a name that every warehouse takes.
func IsName(text string) bool { return len(text) <= MaxName && nameText.MatchString(text) }

// SafeName makes a name that every warehouse takes of a field's name in a
// source: lower snake case, as order_id of orderId, OrderID and order-id. It
// fails where nothing of the field's name would be left, and for names that
// Calve's own columns have.
func SafeName(field string) (string, error) {
	name := SnakeCase(field)
	switch {
	case name == "":
		return "", fmt.Errorf("field %q has no letter or digit that a column's name could keep", field)
	case name[0] >= '0' && name[0] <= '9':
		name = "field_" + name
	}
	switch {
	case len(name) > MaxName:
		return "", fmt.Errorf("field %q makes a column's name of %d characters, warehouses take up to %d", field, len(name), MaxName)
	case IsPositionColumn(name) || IsChangeColumn(name):
		return "", fmt.Errorf("field %q makes the column name %s, which Calve's own column has", field, name)
	}
	return name, nil
}

// SnakeCase turns text to lower snake case: letters and digits of ASCII stay,
// an upper-case letter begins a word, anything else separates words.
func SnakeCase(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case isUpper(c):
			if b.Len() > 0 && i > 0 && (isLower(text[i-1]) || isUpper(text[i-1]) && i+1 < len(text) && isLower(text[i+1])) {
				b.WriteByte('_')
			}
			b.WriteByte(c - 'A' + 'a')
		case isLower(c):
			b.WriteByte(c)
		default:
			b.WriteByte('_')
		}
	}
	name := strings.Trim(b.String(), "_")
	for strings.Contains(name, "__") {
		name = strings.ReplaceAll(name, "__", "_")
	}
	return name
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

// isLower tells whether c stays as it is: a lower-case letter or a digit.
func isLower(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
