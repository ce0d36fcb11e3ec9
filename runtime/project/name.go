package project

import (
	"fmt"
	"strings"

	"github.com/calvelake/calve/runtime/record"
)

// parseName reads the name of a project, model, source, namespace or column.
func parseName(text string) (string, error) {
	switch {
	case len(text) > record.MaxName:
		return "", fmt.Errorf("a name of %d characters is too long, warehouses take up to %d", len(text), record.MaxName)
	case record.IsName(text):
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
	if record.IsChangeColumn(name) {
		return "", fmt.Errorf("%q is reserved: every table over change events of a database has this column already", name)
	}
	return name, nil
}

// snakeCase proposes a valid name for one that is not, or "".
func snakeCase(text string) string {
	name := record.SnakeCase(text)
	if !record.IsName(name) || name == text {
		return ""
	}
	return name
}
