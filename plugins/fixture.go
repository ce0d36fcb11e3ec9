package plugins

import (
	"fmt"
	"os"

	"github.com/calvelake/calve/plugins/trial"
	"github.com/calvelake/calve/sdk/abi"
)

// Fixture is rows with what a plugin makes of them: a case, as authors test
// with. A module carries its own as the "fixtures" of its description, a list.
// One that wants nothing only demands that the plugin always answers alike, and
// does not trap.
type Fixture = trial.Case

// MaxFixtures bounds the text of fixtures, in bytes.
const MaxFixtures = abi.MaxDescribeBytes

// ParseFixtures reads a list of fixtures, strictly.
func ParseFixtures(text []byte) ([]Fixture, error) {
	if len(text) > MaxFixtures {
		return nil, fmt.Errorf("fixtures have %d bytes, at most %d are read", len(text), MaxFixtures)
	}
	all, err := trial.ParseCases(text)
	if err != nil {
		return nil, fmt.Errorf("read fixtures: %w", err)
	}
	return all, nil
}

// ReadFixtures reads the cases of a folder, or a file with a list of them.
func ReadFixtures(path string) ([]Fixture, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read fixtures: %w", err)
	}
	if info.IsDir() {
		return trial.ReadCases(path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read fixtures: %w", err)
	}
	return ParseFixtures(text)
}
