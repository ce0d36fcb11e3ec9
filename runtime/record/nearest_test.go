package record

import "testing"

func TestDistancesCountSwapsOfNeighboursOnce(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"é", "e", 1}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("distance of %q and %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestNearestNeedsToBeNear(t *testing.T) {
	for name, want := range map[string]string{"lenght": "length", "UPPER": "upper", "x": "", "materialized": ""} {
		if got, ok := Nearest(name, []string{"length", "upper", "lower"}); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", name, got, ok, want)
		}
	}
}
