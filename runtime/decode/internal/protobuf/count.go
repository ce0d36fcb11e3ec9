package protobuf

import "google.golang.org/protobuf/encoding/protowire"

// countUnread counts the fields of a valid message that no column reads, as the
// Reader does on its way.
func countUnread(n *node, b []byte) int64 {
	var count int64
	for p := 0; p < len(b); {
		tag, behind := varint(b, p)
		if behind < 0 {
			return count
		}
		end := skip(tag, b, behind)
		if end < 0 {
			return count
		}
		i := n.find(tag)
		switch {
		case i < 0 || len(n.ops[i].field.values) == 0:
			count++
		default:
			for _, x := range n.ops[i].field.values {
				count += countInside(x, protowire.Type(tag&7), b, behind)
			}
		}
		p = end
	}
	return count
}

// countInside counts in the message that a value is on the wire, if columns
// read parts of it.
func countInside(x *value, wire protowire.Type, b []byte, p int) int64 {
	into := x
	if x.shape == list || x.shape == mapping {
		into = x.elem
	}
	if into.node == nil {
		return 0
	}
	var s []byte
	if wire == protowire.StartGroupType {
		s, p = group(x.desc.Number(), b, p)
	} else {
		s, p = delimited(b, p)
	}
	if p < 0 {
		return 0
	}
	if x.shape != mapping {
		return countUnread(into.node, s)
	}
	var count int64
	for p := 0; p < len(s); {
		tag, behind := varint(s, p)
		if behind < 0 {
			return count
		}
		if tag == 2<<3|uint64(x.wire) {
			item, _ := delimited(s, behind)
			count += countUnread(into.node, item)
		}
		p = skip(tag, s, behind)
		if p < 0 {
			return count
		}
	}
	return count
}
