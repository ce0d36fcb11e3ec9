package cdata

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/sdk/abi"
)

// FuzzTable spoils guest memory at places that the fuzzer chooses. Whatever it
// does, reading must not panic, and what is accepted must be valid for arrow-go.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5}, false, false)
	f.Add([]byte{40, 0, 0, 0, 255, 255, 255, 255, 0, 16, 1}, true, false)
	f.Add([]byte{64, 0, 255, 72, 0, 1}, false, true)
	f.Fuzz(func(t *testing.T, edits []byte, dictionary, passed bool) {
		im := newImage(sample())
		if dictionary {
			im = dictionaryImage("c", []byte{1, 0, 2})
		}
		if !passed {
			im.input = nil
			im.output.Selection = im.add([]byte{0b1101})
		}
		from := min(base, len(im.memory))
		for ; len(edits) >= 3; edits = edits[3:] {
			at := from + (int(edits[0])|int(edits[1])<<8)%(len(im.memory)-from)
			im.memory[at] = edits[2]
		}
		r := &Reader{Memory: im.memory, Budget: 1 << 20, Input: im.input}
		got, err := r.Table(im.output, Want{Schema: im.batch.Schema(), Input: int(im.batch.NumRows()), MaxRows: 100})
		if err != nil {
			return
		}
		for i, c := range got.Rows.Columns() {
			if err := array.ValidateFull(c); err != nil {
				t.Errorf("column %d is not valid: %v", i, err)
			}
			_ = c.String()
		}
	})
}

// FuzzRowErrors does the same to row errors and to the result struct.
func FuzzRowErrors(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, edits []byte) {
		im := rowErrorImage(`[{"row": 2, "code": "c", "column": "at", "message": "m"},{"row": 1, "code": "d", "column": "", "message": ""}]`)
		result := im.add(make([]byte, abi.ResultSize))
		im.put32(result+abi.ResultRowErrors, im.output.Array)
		for ; len(edits) >= 3; edits = edits[3:] {
			at := base + (int(edits[0])|int(edits[1])<<8)%(len(im.memory)-base)
			im.memory[at] = edits[2]
		}
		r := &Reader{Memory: im.memory, Budget: 1 << 20}
		res, err := r.Result(result)
		if err != nil || res.RowErrors == 0 {
			return
		}
		got, err := r.RowErrors(res.RowErrors, 3)
		if err != nil {
			return
		}
		for _, e := range got {
			if e.Row >= 3 || e.Code == "" {
				t.Errorf("accepted %+v", e)
			}
		}
	})
}
