package vector

// Truncate forgets the rows from row on, and what was written of the present
// one.
func (s *Set) Truncate(row int) {
	s.Rollback()
	for s.Row > row {
		s.Row--
		s.Rollback()
	}
}

// Copy writes row as a row of another vector of the same type has it.
func (v *Vector) Copy(row int, from *Vector, fromRow int) {
	if from.IsNull(fromRow) {
		v.SetNull(row)
		return
	}
	switch v.Kind {
	case Boolean:
		v.SetBool(row, from.Bits[fromRow>>3]>>(fromRow&7)&1 == 1)
	case Int, Date:
		v.I32[row] = from.I32[fromRow]
	case Long, Timestamp:
		v.I64[row] = from.I64[fromRow]
	case Float:
		v.F32[row] = from.F32[fromRow]
	case Double:
		v.F64[row] = from.F64[fromRow]
	case Decimal:
		v.Decimals[row] = from.Decimals[fromRow]
	case String, Binary:
		v.SetBytes(row, from.Data[from.Offsets[fromRow]:from.Offsets[fromRow+1]])
	case List, Map:
		for i := int(from.Offsets[fromRow]); i < int(from.Offsets[fromRow+1]); i++ {
			for k, kid := range v.Kids {
				kid.Copy(kid.Append(), from.Kids[k], i)
			}
		}
		v.End(row)
	case Struct:
		for k, kid := range v.Kids {
			kid.Copy(row, from.Kids[k], fromRow)
		}
	}
}

// IsNull tells whether a row that was written is null.
func (v *Vector) IsNull(row int) bool { return v.valid != nil && v.valid[row>>3]>>(row&7)&1 == 0 }
