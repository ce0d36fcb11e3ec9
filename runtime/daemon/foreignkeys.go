package daemon

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/calvelake/calve/runtime/fact"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// addForeignKey adds a key of a dimension, whose version is found, or of a date
// dimension, whose day is computed.
func (f *factSpec) addForeignKey(i int) error {
	fk := f.model.Fact.ForeignKeys[i]
	at := slices.IndexFunc(f.compiled, func(k keyedModel) bool { return k.Name == fk.To.Model })
	if at < 0 {
		return fmt.Errorf("foreign_keys[%d]: it refers to model %s, of which this version of calve makes no rows", i, fk.To.Model)
	}
	to := &f.compiled[at]
	made := fact.ForeignKey{Name: fk.Name, To: fk.To.Model, On: fk.On, At: fk.At, Durable: fk.Durable, Copy: copies(fk.Copy)}
	if to.calendar != nil {
		zone, err := time.LoadLocation(f.project.Timezone)
		if err != nil {
			return fmt.Errorf("foreign_keys[%d]: load time zone of the project: %w", i, err)
		}
		made.Calendar = &fact.Calendar{Days: to.calendar, Zone: zone}
	} else {
		made.Attributes, made.Unknown = to.dimension.Attributes(), to.dimension.Unknown()
		for _, c := range to.dimension.NaturalKey().Fields() {
			made.Keys = append(made.Keys, c.Type)
		}
	}
	f.spec.ForeignKeys = append(f.spec.ForeignKeys, made)
	return nil
}

// rekeyed is how long after its time a fact's keys follow their dimensions: as long
// as changes of these may be late, unless the fact says how late its own rows are.
func rekeyed(p *project.Project, m *project.Model) time.Duration {
	longest := m.AllowedLateness
	if m.Gives("allowed_lateness") {
		return longest
	}
	for _, d := range dimensionsReferred(p, m) {
		longest = max(longest, d.Dimension.LateChanges)
	}
	return longest
}

// shortLateness warns of dimensions whose changes may be later than a fact's keys
// follow them.
func shortLateness(p *project.Project, m *project.Model) []string {
	if m.Fact == nil || !m.Gives("allowed_lateness") {
		return nil
	}
	var all []string
	for _, d := range dimensionsReferred(p, m) {
		if d.Dimension.LateChanges > m.AllowedLateness {
			all = append(all, fmt.Sprintf("%s:%d: model %s: allowed_lateness is %s, and late_changes of %s is %s: facts that are older than the first keep their keys when a change between them moves a version, and may have keys of no row; raise allowed_lateness, leave it out, or let calve reconcile --model %s find their keys anew",
				m.File, m.Line, m.Name, m.AllowedLateness, d.Name, d.Dimension.LateChanges, m.Name))
		}
	}
	return all
}

// dimensionsReferred are the dimensions that a model has keys of, but for those of
// days.
func dimensionsReferred(p *project.Project, m *project.Model) []*project.Model {
	var all []*project.Model
	for _, name := range refersTo(m) {
		i := slices.IndexFunc(p.Models, func(other project.Model) bool { return other.Name == name })
		if i >= 0 && p.Models[i].Dimension != nil {
			all = append(all, &p.Models[i])
		}
	}
	return all
}

// refersTo are the dimensions that a model has keys of.
func refersTo(m *project.Model) []string {
	var keys []project.ForeignKey
	if m.Fact != nil {
		keys = m.Fact.ForeignKeys
	}
	if m.Bridge != nil {
		keys = m.Bridge.ForeignKeys
	}
	var names []string
	for _, fk := range keys {
		if !slices.Contains(names, fk.To.Model) {
			names = append(names, fk.To.Model)
		}
	}
	return names
}

// dimensionsOf are the operators that a model asks for keys, among those that are
// built. Date dimensions are not: their keys are computed.
func dimensionsOf(m *project.Model, built []pipeline.KeyedModel) map[string]fact.Dimension {
	found := map[string]fact.Dimension{}
	for _, name := range refersTo(m) {
		for _, b := range built {
			if d, ok := b.Operator.(fact.Dimension); ok && b.Name == name {
				found[name] = d
			}
		}
	}
	return found
}

// keysDefinition is what the keys in a fact's state depend on beside the fact.
func keysDefinition(dimensions map[string]fact.Dimension) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(dimensions)) {
		if d, ok := dimensions[name].(*members); ok {
			fmt.Fprintf(&text, ", keys of %s %08x", name, d.StateVersion())
		}
	}
	return text.String()
}

// withFactsOf adds to the models that begin anew those that have keys of them: the
// rows that their keys are of go, and what moved since is not known.
func withFactsOf(reset []string, compiled []keyedModel, logger *slog.Logger) []string {
	all := slices.Clone(reset)
	for i := range compiled {
		k := &compiled[i]
		of := slices.DeleteFunc(refersTo(k.Model), func(name string) bool { return !slices.Contains(all, name) })
		if len(of) > 0 && !slices.Contains(all, k.Name) {
			logger.Info("model begins anew with the dimensions that it has keys of", "model", k.Name, "dimensions", strings.Join(of, ", "))
			all = append(all, k.Name)
		}
	}
	return all
}
