package avro

// maxDepth bounds how deep values that are skipped or written as JSON text may
// be nested: a schema that holds itself lets a record of n bytes nest n deep.
const maxDepth = 200

// skip returns the position behind a value, checked as if it were read, or -1.
func (r *Reader) skip(n *node, data []byte, pos, depth int) int {
	switch n.kind {
	case null:
		return pos
	case boolean:
		if pos >= len(data) || data[pos] > 1 {
			return -1
		}
		return pos + 1
	case integer:
		_, pos = varsmall(data, pos)
		return pos
	case long:
		_, pos = varint(data, pos)
		return pos
	case float:
		return fixedEnd(data, pos, 4)
	case double:
		return fixedEnd(data, pos, 8)
	case fixed:
		return fixedEnd(data, pos, n.size)
	case enum:
		_, pos = index(len(n.symbols), data, pos)
		return pos
	case bytes, text:
		size, pos := length(data, pos)
		if pos < 0 {
			return -1
		}
		return pos + size
	}
	if depth == maxDepth {
		return -1
	}
	return r.skipNested(n, data, pos, depth+1)
}

func (r *Reader) skipNested(n *node, data []byte, pos, depth int) int {
	switch n.kind {
	case union:
		branch, pos := index(len(n.branches), data, pos)
		if pos < 0 {
			return -1
		}
		return r.skip(n.branches[branch], data, pos, depth)
	case structure:
		for i := range n.fields {
			if pos = r.skip(n.fields[i].node, data, pos, depth); pos < 0 {
				return -1
			}
		}
		return pos
	}
	b := blocks{least: n.items.least}
	if n.kind == mapping {
		b.least++
	}
	for {
		if pos = b.next(r, data, pos); pos < 0 || b.items == 0 {
			return pos
		}
		for range b.items {
			if n.kind == mapping {
				size, after := length(data, pos)
				if after < 0 {
					return -1
				}
				pos = after + size
			}
			if pos = r.skip(n.items, data, pos, depth); pos < 0 {
				return -1
			}
		}
	}
}

// index reads a number below n; next is -1 if it is none.
func index(n int, data []byte, pos int) (i, next int) {
	x, next := varsmall(data, pos)
	if next < 0 || x < 0 || int(x) >= n {
		return 0, -1
	}
	return int(x), next
}

func fixedEnd(data []byte, pos, size int) int {
	if size > len(data)-pos {
		return -1
	}
	return pos + size
}
