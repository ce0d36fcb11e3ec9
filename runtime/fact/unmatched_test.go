package fact

import (
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/projection/projectiontest"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
)

// withUnmatched is orders with the city of their users, and what stands for that
// of users that are not there.
func withUnmatched(t *testing.T, column, constant string) Spec {
	spec := ordersSpec(t)
	spec.Joins = spec.Joins[1:2]
	spec.Joins[0].Unmatched = []projection.Column{projectiontest.Column(t, column, constant)}
	spec.Milestones, spec.Derive, spec.Columns = nil, nil, []string{"user", "user_city"}
	return spec
}

func TestCopiesOfRowsThatMatchNothing(t *testing.T) {
	o := open(t, withUnmatched(t, "user_city", "'Unknown'"), keyvaluetest.New())
	tb := recordtest.Table{}
	take(t, o, "stg_orders", orderFields(), record.NoTime, order(1, "a", 1, "ada", nil, nil, nil, nil), order(2, "b", 2, "bob", nil, nil, nil, nil), order(3, "c", 3, nil, nil, nil, nil, nil), order(4, "d", 4, "eve", nil, nil, nil, nil))
	follow(t, o, "dim_users", usersSchema(), record.NoTime, user('c', "ada", "Austin", nil), user('c', "eve", nil, nil))
	end(t, o, tb, record.NoTime)
	cities := func() (got string) {
		for _, row := range tb.Texts() {
			got += strings.TrimPrefix(strings.Fields(row)[3], "user_city=") + " "
		}
		return got
	}
	if got, want := cities(), "Austin Unknown Unknown (null) "; got != want {
		t.Errorf("got cities %q of rows %q, want %q", got, tb.Texts(), want)
	}
	follow(t, o, "dim_users", usersSchema(), record.NoTime, user('d', "ada", "Austin", nil), user('c', "bob", "Denver", nil))
	end(t, o, tb, record.NoTime)
	if got, want := cities(), "Unknown Denver Unknown (null) "; got != want {
		t.Errorf("after users changed: got cities %q, want %q", got, want)
	}
}

func TestConstantsOfUnmatchedRowsAreOfCopiedColumns(t *testing.T) {
	for _, c := range []struct{ column, constant, want string }{
		{"town", "'?'", "left_join[0].copy: column town is not copied"},
		{"user_city", "user", "left_join[0].copy.user_city"},
	} {
		if _, err := Compile(withUnmatched(t, c.column, c.constant)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %s: got error %v, want one with %q", c.column, c.constant, err, c.want)
		}
	}
	one, other := withUnmatched(t, "user_city", "'?'"), withUnmatched(t, "user_city", "'!'")
	a, errA := Compile(one)
	b, errB := Compile(other)
	if errA != nil || errB != nil || a.StateVersion() == b.StateVersion() {
		t.Errorf("two constants have one state: errors %v, %v", errA, errB)
	}
}
