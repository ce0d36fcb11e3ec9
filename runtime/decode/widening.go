package decode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
)

// change says what columns the slice asks for; nil for none.
func (u *unseen) change(f *jsonFormat) (*ChangeError, error) {
	w := widening{offset: -1, fields: countFields(f.schema.Fields())}
	if err := w.add(u.root, u.reads, nil); err != nil {
		return nil, err
	}
	if f.value != nil {
		w.widen(f, f.value, u.root)
	}
	if w.offset < 0 {
		return nil, nil
	}
	if err := f.checkNames(w.Add); err != nil {
		return nil, err
	}
	return &ChangeError{Change: w.Change, Offset: w.offset}, nil
}

// checkNames refuses new columns whose name another column has.
func (d *Decoder) checkNames(added []Column) error {
	names := map[string]string{} // of columns, in lower case, to what has the name
	for i := range d.columns {
		c := &d.columns[i]
		names[strings.ToLower(c.name)] = fmt.Sprintf("column %s of the model, which is read from %s", c.name, c.source.describe())
	}
	for _, c := range added {
		if other, taken := names[c.Name]; taken {
			return fmt.Errorf("%w: the field %s, which no column reads, needs a column named %s, and so is %s; declare the field as a column of another name (from: %s), or set on_schema_change to ignore",
				ErrNameTaken, c.From, c.Name, other, c.From)
		}
		names[c.Name] = "the column of the new field " + c.From
	}
	return nil
}

// widening collects a Change.
type widening struct {
	Change
	offset int64 // of the first record that needs it; -1 for none
	fields int   // of the columns, nested ones and new ones included
}

func (w *widening) takes(s *shape, t arrow.DataType) bool {
	n := countFields([]arrow.Field{{Type: t}})
	if w.fields+n > maxFields {
		return false
	}
	w.fields += n
	if w.offset < 0 || s.offset < w.offset {
		w.offset = s.offset
	}
	return true
}

// add collects columns for what is unread in objects on the paths of columns.
// A field is left out, and stays counted, if its path cannot be written, for a
// dot in a name, or if nothing of its name can be a column's.
func (w *widening) add(s *shape, r *reading, path []string) error {
	for _, name := range s.names {
		at := s.members[name]
		here := append(slices.Clone(path), name)
		if kid := r.kids[name]; kid != nil {
			if !kid.owned {
				if err := w.add(at, kid, here); err != nil {
					return err
				}
			}
			continue
		}
		t, _ := at.dataType()
		if t != nil {
			w.addField(here, t, at)
		}
	}
	return nil
}

// addField adds a column for a field, unless it must be left out.
func (w *widening) addField(path []string, t arrow.DataType, at *shape) {
	from := strings.Join(path, ".")
	name, err := record.SafeName(from)
	if err != nil || slices.Contains(path, "") || strings.Count(from, ".") != len(path)-1 || !w.takes(at, t) {
		return
	}
	w.Add = append(w.Add, Column{Name: name, From: from, Type: t, Nullable: true, Added: true})
}

// widen collects columns that are structs, or lists of them, with more fields.
func (w *widening) widen(f *jsonFormat, n *node, s *shape) {
	for _, c := range n.columns {
		col := &f.columns[c]
		if t := w.widened(col.dataType, s); t != nil {
			w.Widen = append(w.Widen, Column{Name: col.name, From: strings.Join(col.source.path, "."), Type: t, Nullable: col.nullable, Added: col.added})
		}
	}
	for _, k := range n.kids {
		if m := s.members[k.name]; m != nil {
			w.widen(f, k, m)
		}
	}
}

// widened is a column's type with the fields that were seen beside it; nil if
// there are none.
func (w *widening) widened(t arrow.DataType, s *shape) arrow.DataType {
	switch t := t.(type) {
	case *arrow.StructType:
		fields := slices.Clone(t.Fields())
		seen := map[string]bool{}
		changed := false
		for i, f := range fields {
			seen[strings.ToLower(f.Name)] = true
			if m := s.members[f.Name]; m != nil {
				if inner := w.widened(f.Type, m); inner != nil {
					fields[i].Type, changed = inner, true
				}
			}
		}
		for _, name := range s.names {
			added, loose := s.members[name].dataType()
			if added == nil || loose || seen[strings.ToLower(name)] || !nestedName.MatchString(name) || !w.takes(s.members[name], added) {
				continue
			}
			seen[strings.ToLower(name)] = true
			fields, changed = append(fields, arrow.Field{Name: name, Type: added, Nullable: true}), true
		}
		if changed {
			return arrow.StructOf(fields...)
		}
	case *arrow.ListType:
		if s.element == nil {
			return nil
		}
		if inner := w.widened(t.Elem(), s.element); inner != nil {
			element := t.ElemField()
			element.Type = inner
			return arrow.ListOfField(element)
		}
	}
	return nil
}

func countFields(fields []arrow.Field) int {
	n := 0
	for _, f := range fields {
		n++
		if nested, ok := f.Type.(arrow.NestedType); ok {
			n += countFields(nested.Fields())
		}
	}
	return n
}
