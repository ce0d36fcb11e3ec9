// Command snippets takes the attach programs out of what `calve demo --keep` prints,
// so that the harness runs what a reader is told to run.
//
//	calve demo --keep --dir DEMO | snippets -dir DIR
//
// A program begins after a line such as `--- duckdb (python) ---` and ends before the
// next line of that shape, the last one before `--- end ---`. It is written to
// DIR/attach_duckdb.py. The line that begins with `calve catalog serve` goes to DIR/serve.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	dir := flag.String("dir", ".", "folder that the programs are written to")
	flag.Parse()

	if err := extract(os.Stdin, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "snippets:", err)
		os.Exit(1)
	}
}

func extract(in io.Reader, dir string) error {
	printed, err := parse(in)
	if err != nil {
		return err
	}
	files := map[string]string{"serve": printed.serve}
	for engine, program := range printed.programs {
		// A module called duckdb.py would hide the one that the program imports.
		files["attach_"+engine+".py"] = program
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o600); err != nil {
			return fmt.Errorf("write snippet: %w", err)
		}
	}
	return nil
}

// output is what the demo tells its reader to run.
type output struct {
	serve    string            // the command that serves the catalog
	programs map[string]string // Python programs by engine
}

// fence matches `--- duckdb (python) ---` and `--- end ---`.
var fence = regexp.MustCompile(`^--- ([a-z]+)(?: \([a-z]+\))? ---$`)

func parse(in io.Reader) (output, error) {
	found := output{programs: map[string]string{}}
	engine := ""
	var program []string
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if match := fence.FindStringSubmatch(line); match != nil {
			if err := found.add(engine, program); err != nil {
				return output{}, err
			}
			engine, program = match[1], nil
			if engine == "end" {
				engine = ""
			}
			continue
		}
		if engine != "" {
			program = append(program, line)
		} else if command := strings.TrimSpace(line); strings.HasPrefix(command, "calve catalog serve") {
			found.serve = command
		}
	}
	if err := lines.Err(); err != nil {
		return output{}, fmt.Errorf("read demo output: %w", err)
	}
	return found, found.complete(engine)
}

// add keeps the program of an engine; engine is empty outside the fences.
func (o *output) add(engine string, program []string) error {
	if engine == "" {
		return nil
	}
	text := strings.TrimSpace(strings.Join(program, "\n"))
	if text == "" {
		return fmt.Errorf("the program for %s is empty", engine)
	}
	if _, twice := o.programs[engine]; twice {
		return fmt.Errorf("there are two programs for %s", engine)
	}
	o.programs[engine] = text
	return nil
}

// complete reports what the output lacks; open is the engine whose fence did not end.
func (o *output) complete(open string) error {
	switch {
	case open != "":
		return fmt.Errorf("the program for %s has no end, want a line --- end ---", open)
	case len(o.programs) == 0:
		return errors.New("there is no program, want lines such as --- duckdb (python) ---")
	case o.serve == "":
		return errors.New("there is no line that begins with calve catalog serve")
	}
	return nil
}
