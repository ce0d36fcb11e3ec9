package project

import (
	"fmt"
	"strings"
)

// variablePattern is the JSON Schema pattern of a value that holds a variable.
const variablePattern = `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`

// unset reports a variable that has no value and no default.
type unset struct{ name string }

func (e unset) Error() string { return fmt.Sprintf("environment variable %s is not set", e.name) }

// hasVariable tells whether text holds a ${ that is not escaped.
func hasVariable(text string) bool {
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			return false
		}
		if at == 0 || text[at-1] != '$' {
			return true
		}
		text = text[at+2:]
	}
}

// expand replaces ${VAR} and ${VAR:-default} in text by values of env, and $${
// by ${. A variable that is set but empty takes the default, as in a shell.
// Errors name variables, never values.
func expand(text string, env func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		if at > 0 && text[at-1] == '$' {
			b.WriteString(text[:at-1])
			b.WriteString("${")
			text = text[at+2:]
			continue
		}
		b.WriteString(text[:at])
		end := strings.IndexByte(text[at:], '}')
		if end < 0 {
			return "", fmt.Errorf("${ has no closing }")
		}
		value, err := lookup(text[at+2:at+end], env)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = text[at+end+1:]
	}
}

func lookup(inside string, env func(string) (string, bool)) (string, error) {
	name, fallback, hasFallback := strings.Cut(inside, ":-")
	if !isVariableName(name) {
		return "", fmt.Errorf("${%s} is no environment variable, expected ${NAME} or ${NAME:-default}", name)
	}
	value, ok := env(name)
	if hasFallback && value == "" {
		return fallback, nil
	}
	if !ok {
		return "", unset{name}
	}
	return value, nil
}

func isVariableName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
