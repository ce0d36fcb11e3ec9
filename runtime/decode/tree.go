package decode

// node is one member name on the paths of a decoder's columns.
type node struct {
	name    string
	columns []int // that read this member itself
	kids    []*node
}

// add makes the column read the member at the path.
func (n *node) add(path []string, column int) {
	for _, name := range path {
		next := n.kid([]byte(name))
		if next == nil {
			next = &node{name: name}
			n.kids = append(n.kids, next)
		}
		n = next
	}
	n.columns = append(n.columns, column)
}

func (n *node) kid(name []byte) *node {
	for _, k := range n.kids {
		if k.name == string(name) {
			return k
		}
	}
	return nil
}

// findings are what a document has for each column: the members that the
// columns read, found before any is parsed, since a later member of a name
// replaces an earlier one.
type findings struct {
	found [][]byte // the value of each column, nil if absent
	wrong [][]byte // a value on the column's path that is no object
}

func newFindings(columns int) findings {
	return findings{found: make([][]byte, columns), wrong: make([][]byte, columns)}
}

func (f *findings) reset() {
	clear(f.found)
	clear(f.wrong)
}

// walk notes what the columns of a tree read in an object. It returns the number
// of members that none reads.
func (f *findings) walk(n *node, raw []byte, s *scratch) (unknown int64) {
	object := membersOf(raw)
	for {
		name, value, ok := object.next()
		if !ok {
			return unknown
		}
		kid := n.kid(s.unescapeName(name))
		if kid == nil {
			unknown++
			continue
		}
		unknown += f.note(kid, value, s)
	}
}

// note takes value as that of a member.
func (f *findings) note(kid *node, value []byte, s *scratch) (unknown int64) {
	f.forget(kid)
	for _, c := range kid.columns {
		f.found[c] = value
	}
	switch {
	case len(kid.kids) == 0, isNull(value):
	case value[0] == '{':
		return f.walk(kid, value, s)
	default:
		f.blame(kid, value)
	}
	return 0
}

// forget drops what an earlier member of the same name gave: the last wins as
// a whole.
func (f *findings) forget(n *node) {
	for _, c := range n.columns {
		f.found[c] = nil
	}
	for _, k := range n.kids {
		f.forget(k)
		for _, c := range k.columns {
			f.wrong[c] = nil
		}
	}
}

// blame notes for every column below n that value is in the way.
func (f *findings) blame(n *node, value []byte) {
	for _, k := range n.kids {
		for _, c := range k.columns {
			f.wrong[c] = value
		}
		f.blame(k, value)
	}
}
