package pipeline_test

import (
	"fmt"
	"strconv"
	"strings"
)

// block is one command of a scenario with its input and expected output. The
// text of a scenario is
//
//	# comments, which tell the story
//	command word key=value fault=(in parentheses, with spaces)
//	input lines, if the command takes any
//	----
//	output lines, or ok
//	<empty line>
type block struct {
	line     int // of the command
	comments []string
	command  string
	input    []string
	expected []string
}

func parseScript(text string) ([]block, error) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	var blocks []block
	for i := 0; i < len(lines); {
		b := block{}
		for i < len(lines) && (lines[i] == "" || strings.HasPrefix(lines[i], "#")) {
			b.comments = append(b.comments, lines[i])
			i++
		}
		if i == len(lines) {
			return nil, fmt.Errorf("line %d: comments without a command after them", i)
		}
		b.line, b.command = i+1, lines[i]
		for i++; i < len(lines) && lines[i] != "----"; i++ {
			b.input = append(b.input, lines[i])
		}
		if i == len(lines) {
			return nil, fmt.Errorf("line %d: the command has no ----", b.line)
		}
		for i++; i < len(lines) && lines[i] != ""; i++ {
			b.expected = append(b.expected, lines[i])
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// write is the inverse of parseScript.
func (b block) write(out *strings.Builder) {
	for _, line := range b.comments {
		fmt.Fprintln(out, line)
	}
	for _, part := range [][]string{{b.command}, b.input, {"----"}, b.expected} {
		for _, line := range part {
			fmt.Fprintln(out, line)
		}
	}
}

// words are the parts of a command line: its plain words and its key=value
// pairs, each of which must be used.
type words struct {
	plain  []string
	values map[string][]string
	err    error
}

func parseWords(command string) *words {
	w := &words{values: map[string][]string{}}
	for command = strings.TrimSpace(command); command != ""; command = strings.TrimSpace(command) {
		word := command
		if end := strings.IndexByte(command, ' '); end >= 0 {
			word = command[:end]
		}
		if open := strings.Index(word, "=("); open >= 0 {
			end := strings.IndexByte(command, ')')
			if end < 0 {
				w.err = fmt.Errorf("%q: no closing parenthesis", command)
				return w
			}
			key := command[:open]
			w.values[key] = append(w.values[key], command[open+2:end])
			command = command[end+1:]
			continue
		}
		command = command[len(word):]
		if key, value, found := strings.Cut(word, "="); found {
			w.values[key] = append(w.values[key], value)
		} else {
			w.plain = append(w.plain, word)
		}
	}
	return w
}

// next takes the next plain word.
func (w *words) next() string {
	if len(w.plain) == 0 {
		w.fail("a word is missing")
		return ""
	}
	word := w.plain[0]
	w.plain = w.plain[1:]
	return word
}

// has takes a plain word if it is there.
func (w *words) has(word string) bool {
	for i, p := range w.plain {
		if p == word {
			w.plain = append(w.plain[:i:i], w.plain[i+1:]...)
			return true
		}
	}
	return false
}

// all takes the values of a key.
func (w *words) all(key string) []string {
	values := w.values[key]
	delete(w.values, key)
	return values
}

// text takes the value of a key.
func (w *words) text(key, otherwise string) string {
	values := w.all(key)
	switch len(values) {
	case 0:
		return otherwise
	case 1:
		return values[0]
	}
	w.fail("%s is given twice", key)
	return ""
}

func (w *words) number(key string, otherwise int64) int64 {
	text := w.text(key, "")
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		w.fail("%s=%s is no number", key, text)
	}
	return n
}

func (w *words) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// rest tells what is wrong with the words, or was not used.
func (w *words) rest() error {
	for key := range w.values {
		w.fail("%s= means nothing here", key)
	}
	if len(w.plain) > 0 {
		w.fail("%q means nothing here", w.plain)
	}
	return w.err
}
