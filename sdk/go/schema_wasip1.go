//go:build wasip1

package calve

// schemas holds the ArrowSchema structs of what was announced at init. Pieces
// are allocated one by one, since a slice that grows would move them.
type schemas struct {
	structs  []*arrowSchema
	pointers [][]uint32
	texts    [][]byte
}

// add lays out a column and returns the address of its ArrowSchema.
func (s *schemas) add(c Column) uint32 {
	a := &arrowSchema{format: s.text(c.Format), name: s.text(c.Name), nChildren: int64(len(c.Children))}
	if !c.NotNull {
		a.flags = flagNullable
	}
	pointers := make([]uint32, len(c.Children))
	for i, child := range c.Children {
		pointers[i] = s.add(child)
	}
	a.children = sliceAddress(pointers)
	s.structs, s.pointers = append(s.structs, a), append(s.pointers, pointers)
	return address(a)
}

func (s *schemas) text(t string) uint32 {
	b := append([]byte(t), 0)
	s.texts = append(s.texts, b)
	return sliceAddress(b)
}

// announce returns the result of calve_init for a derived output.
func (f *frame) announce(schema uint32) uint32 {
	f.outputs = []outputStruct{{stream: streamMain, schema: schema}}
	f.result = resultStruct{status: statusOK, nOutputs: 1, outputs: sliceAddress(f.outputs)}
	return address(&f.result)
}
