package project

import "fmt"

// checkInferred refuses a model that reads the rows of a dimension in which others
// infer members: these come when the epoch's facts are made, behind all that is
// read.
func (c *checker) checkInferred(m *Model) {
	paths := map[string]string{}
	for _, ref := range m.references() {
		if to, ok := c.models[ref.model]; ok && to.Kind == KindDimension {
			paths[ref.path] = ref.model
		}
	}
	for _, fk := range m.foreignKeys() {
		delete(paths, fk.path+".to")
	}
	for _, path := range sortedKeys(paths) {
		if by := c.infersInto(paths[path]); by != nil {
			c.fail(path, fmt.Sprintf("%s cannot be read here: the foreign keys of %s infer its members, which come after the rows that are read", paths[path], by.Name),
				"find its members by foreign_keys, with copy for attributes, or read what the dimension reads")
		}
	}
}

// infersInto is the first model by name that has keys of a dimension, nil for
// none.
func (c *checker) infersInto(dimension string) *Model {
	for _, name := range sortedKeys(c.models) {
		for _, fk := range c.models[name].foreignKeys() {
			if fk.To.Model == dimension {
				return c.models[name]
			}
		}
	}
	return nil
}
