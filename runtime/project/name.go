package project

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/calvelake/calve/runtime/record"
)

// namePattern is what every warehouse takes unquoted; lower case alone, since
// engines fold case in different directions.
const (
	namePattern = `^[a-z][a-z0-9_]*$`
	maxName     = 127 // Redshift's limit, the lowest of the supported warehouses
)

var nameText = regexp.MustCompile(namePattern)

// parseName reads the name of a project, model, source, namespace or column.
func parseName(text string) (string, error) {
	switch {
	case len(text) > maxName:
		return "", fmt.Errorf("a name of %d characters is too long, warehouses take up to %d", len(text), maxName)
	case nameText.MatchString(text):
		return text, nil
	case strings.HasPrefix(text, "_"):
		return "", fmt.Errorf("%q begins with _, which is reserved for metadata columns (_file, _pos, _partition, _spec_id, _deleted and the like)", text)
	}
	return "", fmt.Errorf("%q is no name, expected lower-case letters, digits and _, a letter first", text)
}

// parseColumnName reads the name of a column that a model defines.
func parseColumnName(text string) (string, error) {
	name, err := parseName(text)
	if err != nil {
		return "", err
	}
	if record.IsPositionColumn(name) {
		return "", fmt.Errorf("%q is reserved: every staging table has this column already", name)
	}
	return name, nil
}

// snakeCase proposes a valid name for one that is not, or "".
func snakeCase(text string) string {
	var b strings.Builder
	lower := false // the last character was a lower-case letter or digit
	for _, c := range text {
		switch {
		case c >= 'A' && c <= 'Z':
			if lower {
				b.WriteByte('_')
			}
			b.WriteRune(c - 'A' + 'a')
			lower = false
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b.WriteRune(c)
			lower = true
		default:
			b.WriteByte('_')
			lower = false
		}
	}
	name := strings.Trim(b.String(), "_")
	if !nameText.MatchString(name) || name == text {
		return ""
	}
	return name
}
