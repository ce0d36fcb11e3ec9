package fastjson

const (
	wordNull  = 'n' | 'u'<<8 | 'l'<<16 | 'l'<<24
	wordTrue  = 't' | 'r'<<8 | 'u'<<16 | 'e'<<24
	wordFalse = 'f' | 'a'<<8 | 'l'<<16 | 's'<<24 | 'e'<<32
)

// value reads the value that begins at i, and returns the index behind it or -1
// to give up. What follows the value is the caller's to check.
func (r *Reader) value(s *slot, i, row, depth int) int {
	t := r.text
	if t.byte(i) <= ' ' {
		i = r.space(i)
	}
	switch c := t.byte(i); s.op {
	case opString:
		if c == '"' {
			return r.string(s.vector, i+1, row)
		}
		if c == '{' || c == '[' {
			return r.raw(s.vector, i, row, depth)
		}
	case opLong:
		if x, end := r.integer(i); end >= 0 {
			s.vector.I64[row] = x
			return end
		}
	case opInt:
		if x, end := r.integer(i); end >= 0 && x == int64(int32(x)) {
			s.vector.I32[row] = int32(x)
			return end
		}
	case opEpoch:
		if x, end := r.integer(i); end >= 0 && !isFraction(t.byte(end)) {
			return r.epoch(s, x, end, row)
		}
		if c != 'n' {
			return r.scalar(s, i, row)
		}
	case opDouble:
		if x, end := r.double(i); end >= 0 {
			s.vector.F64[row] = x
			return end
		}
		if c != 'n' {
			return r.scalar(s, i, row)
		}
	case opBoolean:
		switch w := t.word(i); {
		case uint32(w) == wordTrue:
			s.vector.SetBool(row, true)
			return i + 4
		case w<<24 == wordFalse<<24:
			s.vector.SetBool(row, false)
			return i + 5
		}
	case opTimestamp:
		if x, end := r.timestamp(s, i); end >= 0 {
			s.vector.I64[row] = x
			return end
		}
		if c != 'n' {
			return r.scalar(s, i, row)
		}
	case opDate:
		if x, end := r.date(i); end >= 0 {
			s.vector.I32[row] = x
			return end
		}
		if c != 'n' {
			return r.scalar(s, i, row)
		}
	case opObject, opStruct:
		if c == '{' {
			return r.members(s.object, i+1, row, depth+1)
		}
	case opList:
		if c == '[' {
			return r.list(s, i+1, row, depth+1)
		}
	case opDecimal:
		if end := r.decimal(s, i, row); end >= 0 {
			return end
		}
		if c != 'n' {
			return r.scalar(s, i, row)
		}
	case opSeveral:
		return r.several(s, i, row, depth)
	case opRead:
		if c != 'n' {
			return r.other(s, i, row, depth)
		}
	case opText:
		if c == '"' {
			return r.markedString(s.vector, i+1, row)
		}
		if c == '{' || c == '[' {
			return r.raw(s.vector, i, row, depth)
		}
	default:
		if s.op >= opMarkAfter {
			return r.event(s, i, row, depth)
		}
		if (c == '{' || c == '[') && s.read != nil {
			return r.other(s, i, row, depth)
		}
		if c != 'n' {
			return r.scalar(s, i, row)
		}
	}
	if t.word(i)&(1<<32-1) == wordNull && r.absent(s, row) {
		return i + 4
	}
	return -1
}

// several reads one value into several slots.
func (r *Reader) several(s *slot, i, row, depth int) int {
	end := -1
	for _, part := range s.parts {
		if end = r.value(part, i, row, depth); end < 0 {
			return -1
		}
	}
	return end
}

// other has the field's Read read a value.
func (r *Reader) other(s *slot, i, row, depth int) int {
	end := r.skip(i, depth)
	if end < 0 || r.mayHoldMarker(r.text.slice(i, end)) {
		return -1
	}
	unknown, ok := s.read(r.text.slice(i, end), s.vector, row)
	if !ok || r.knownOnly && unknown > 0 {
		return -1
	}
	r.unknown += unknown
	return end
}

// list reads an array, from behind its bracket.
func (r *Reader) list(s *slot, i, row, depth int) int {
	t, elements := r.text, s.vector.Kids[0]
	first := elements.Len
	if depth > maxDepth {
		return -1
	}
	if i = r.space(i); t.byte(i) == ']' {
		s.vector.End(row)
		return i + 1
	}
	for {
		if i = r.value(s.element, i, elements.Append(), depth); i < 0 {
			return -1
		}
		i = r.space(i)
		switch t.byte(i) {
		case ',':
			i++
		case ']':
			if r.change != nil && elements.Len-first == r.change.marker.Numbers() {
				return -1 // numbers that may stand for the placeholder
			}
			s.vector.End(row)
			return i + 1
		default:
			return -1
		}
	}
}
