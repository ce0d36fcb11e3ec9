package vector

import "testing"

func TestRoomIsFreeAndItsOwn(t *testing.T) {
	for _, n := range []int{0, 1, 7, 64, 100_000} {
		a, b := Room(n), Room(n)
		if len(a) != 0 || cap(a) < n {
			t.Errorf("Room(%d): got len %d, cap %d", n, len(a), cap(a))
		}
		for range n {
			a, b = append(a, 'a'), append(b, 'b')
		}
		for i := range n {
			if a[i] != 'a' || b[i] != 'b' {
				t.Fatalf("Room(%d): byte %d is %q and %q", n, i, a[i], b[i])
			}
		}
	}
}
