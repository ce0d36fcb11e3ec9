package project

import (
	"fmt"
	"slices"
	"strings"

	"github.com/calvelake/calve/runtime/record"
)

// didYouMean is the hint that names the candidate nearest to a misspelt name,
// or "" if none is near.
func didYouMean(name string, candidates []string) string {
	best, ok := record.Nearest(name, candidates)
	if !ok {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// listed prints names for an error, in order, a long list cut short.
func listed(names []string) string {
	const most = 30
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

func sorted(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return out
}
