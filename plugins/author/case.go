package author

import "github.com/calvelake/calve/plugins/trial"

// Case is rows that go into a plugin with what should come of them; a file of
// a plugin's folder cases holds one.
type Case = trial.Case

// ReadCases reads the *.json files of a folder in the order of their names.
func ReadCases(dir string) ([]Case, error) { return trial.ReadCases(dir) }

// RowError is an error that a case wants.
type RowError = trial.RowError
