package project

import (
	"cmp"
	"slices"
	"strings"
)

// order sorts models so that each comes after those it reads; of models that
// could come next the first by name does. Models on a cycle come last, by name.
func order(models []*Model) (sorted, cyclic []*Model) {
	waiting := map[string]int{} // models that a model still waits for
	readers := map[string][]*Model{}
	byName := map[string]*Model{}
	for _, m := range models {
		byName[m.Name] = m
	}
	for _, m := range models {
		for _, name := range readNames(m) {
			if byName[name] != nil {
				waiting[m.Name]++
				readers[name] = append(readers[name], m)
			}
		}
	}
	rest := slices.Clone(models)
	slices.SortStableFunc(rest, func(a, b *Model) int { return cmp.Compare(a.Name, b.Name) })
	for {
		next := slices.IndexFunc(rest, func(m *Model) bool { return waiting[m.Name] == 0 })
		if next < 0 {
			return sorted, rest
		}
		m := rest[next]
		rest = slices.Delete(rest, next, next+1)
		sorted = append(sorted, m)
		for _, reader := range readers[m.Name] {
			waiting[reader.Name]--
		}
	}
}

// readNames lists the models that m reads, each once.
func readNames(m *Model) []string {
	var out []string
	for _, ref := range m.references() {
		if !contains(out, ref.model) {
			out = append(out, ref.model)
		}
	}
	return out
}

// cycle is a way from a model back to itself: names in reading order, and the
// reference in the first that leads to the second.
type cycle struct {
	first *Model
	names []string
	path  string
}

// cycles finds a cycle through each group of models that read one another.
// models are those that order could not place: on a cycle, or behind one.
func cycles(models []*Model) []cycle {
	byName := map[string]*Model{}
	for _, m := range models {
		byName[m.Name] = m
	}
	reported := map[string]bool{}
	var out []cycle
	for _, m := range models {
		if reported[m.Name] {
			continue
		}
		way := shortestWay(m, byName)
		if way == nil {
			continue
		}
		for _, name := range way {
			reported[name] = true
		}
		found := cycle{first: m, names: append(way, m.Name)}
		for _, ref := range m.references() {
			if ref.model == found.names[1] {
				found.path = ref.path
				break
			}
		}
		out = append(out, found)
	}
	return out
}

// shortestWay is the shortest way from a model back to itself, without the
// return, or nil.
func shortestWay(from *Model, byName map[string]*Model) []string {
	cameFrom := map[string]string{}
	queue := []string{from.Name}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, next := range readNames(byName[at]) {
			if next == from.Name {
				var way []string
				for name := at; name != from.Name; name = cameFrom[name] {
					way = append(way, name)
				}
				way = append(way, from.Name)
				slices.Reverse(way)
				return way
			}
			if _, seen := cameFrom[next]; !seen && byName[next] != nil {
				cameFrom[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func (c cycle) String() string { return strings.Join(c.names, " → ") }
