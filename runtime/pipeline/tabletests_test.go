package pipeline

import "testing"

// A test over tables waits for a model that takes in its inputs, and for one that has
// done so and whose table shows its rows from before: what refers to what is not of
// one time then.
func TestTableTestsWaitForModelsThatAreMadeAnew(t *testing.T) {
	for name, c := range map[string]struct {
		fact keyed
		want bool
	}{
		"at work":                          {keyed{}, false},
		"behind":                           {keyed{behind: &behind{}, rework: &rework{}}, true},
		"not yet shown":                    {keyed{rework: &rework{}}, true},
		"behind, without rows from before": {keyed{behind: &behind{}}, true},
	} {
		c.fact.KeyedModel = &KeyedModel{Name: "fct_orders"}
		p := &Pipeline{keyed: []keyed{{KeyedModel: &KeyedModel{Name: "dim_shops"}}, c.fact}}
		test := &keyed{KeyedModel: &KeyedModel{Name: "relationships", Inputs: []string{"fct_orders", "dim_shops"}}}
		if got := p.inputBehind(test); got != c.want {
			t.Errorf("the fact is %s: the test waits: %v, want %v", name, got, c.want)
		}
	}
}
