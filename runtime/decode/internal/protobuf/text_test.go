package protobuf

import (
	"bytes"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// TestTextOfEveryLength: wherever a byte that is no ASCII is, the text is
// checked, and what is around it is neither taken nor looked at.
func TestTextOfEveryLength(t *testing.T) {
	for n := range 2*shortText + 1 {
		for at := range n {
			for _, bad := range []bool{false, true} {
				text := bytes.Repeat([]byte("x"), n)
				text[at] = 0xff
				if !bad {
					copy(text[at:], "ü")
					bad = at == n-1 // half of it
				}
				for _, slack := range []int{0, 1, shortText, 3 * shortText} {
					v, err := vector.New(arrow.BinaryTypes.String)
					if err != nil {
						t.Fatal(err)
					}
					v.Reserve(3, 0)
					v.Data = make([]byte, 0, slack)
					around := append(append([]byte("\xff"), text...), bytes.Repeat([]byte{0xff}, slack)...)
					if !setText(v, 0, []byte("before"), 0, 6) {
						t.Fatal("refuses ASCII")
					}
					if got := setText(v, 1, around[:n+1], 1, n); got == bad {
						t.Fatalf("%d bytes, not ASCII at %d, %d behind: got %t", n, at, slack, got)
					}
					if bad {
						v.Rollback(1)
					} else if got := v.Data[v.Offsets[1]:v.Offsets[2]]; !bytes.Equal(got, text) {
						t.Fatalf("got %q, want %q", got, text)
					}
					if !bad && (!setText(v, 2, []byte("behind"), 0, 6) || string(v.Data) != "before"+string(text)+"behind") {
						t.Fatalf("got %q", v.Data)
					}
				}
			}
		}
	}
}

func TestValidTextOfEveryLength(t *testing.T) {
	for n := range 40 {
		text := bytes.Repeat([]byte("x"), n)
		if !validText(text) {
			t.Fatalf("%d bytes: refuses ASCII", n)
		}
		for at := range n {
			text[at] = 0x80
			if validText(text) {
				t.Fatalf("%d bytes: takes a stray byte at %d", n, at)
			}
			text[at] = 'x'
		}
	}
}
