package warehousesql

import (
	"fmt"
	"strings"
)

// Script is statements as a text that an engine's client runs.
func Script(statements []Statement) string {
	var b strings.Builder
	var last Purpose
	for _, s := range statements {
		if s.Purpose != last {
			last = s.Purpose
			fmt.Fprintf(&b, "%s\n\n", comment(headings[s.Purpose]))
		}
		switch {
		case s.Note != "":
			fmt.Fprintf(&b, "%s\n", comment(s.Note))
		case s.Column != "":
			fmt.Fprintf(&b, "%s\n", comment(s.Model+"."+s.Column))
		}
		fmt.Fprintf(&b, "%s;\n\n", s.SQL)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

var headings = map[Purpose]string{
	Attach: "Attach the tables.",
	View:   "Views.",
	Check:  "Keys: each of these counts 0.",
}

// comment breaks a text into lines of comment.
func comment(text string) string {
	const width = 84
	var lines []string
	line := "--"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = "--"
		}
		line += " " + word
	}
	return strings.Join(append(lines, line), "\n")
}
