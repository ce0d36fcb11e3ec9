package trial

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

func parsed(t *testing.T, text string) Case {
	t.Helper()
	c, err := ParseCase([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// described is a plugin of a kind that takes the column n.
func described(kind string) abi.Describe {
	return abi.Describe{Kind: kind, Input: abi.Input{Columns: []abi.Column{{Name: "n", Format: "l"}, {Name: "at", Format: "tsu:UTC"}}}}
}

func TestCasesAreReadAndWrittenAlike(t *testing.T) {
	for _, text := range []string{
		`{
  "name": "sessions",
  "config": {"x": 1},
  "key_type": "long",
  "gap": "30m",
  "watermark": "2026-01-01T00:00:00Z",
  "input": [
    [
      {"_key": 1, "n": 2}
    ],
    []
  ],
  "output": [],
  "errors": [
    {"row":0,"code":"a"},
    {"session":1,"code":"b","column":"n"}
  ]
}
`, `{
  "name": "changes",
  "key": "n",
  "input": [
    {"n": 2}
  ],
  "decisions": [
    {"_action": "ignore"}
  ],
  "versions": []
}
`, `{
  "name": "streams",
  "columns": [{"name":"id","data_type":"long"}],
  "input": [],
  "streams": {
    "1": [
      {"id": 1}
    ],
    "2": []
  }
}
`,
	} {
		got, err := parsed(t, text).Text()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Replace(text, `{"x": 1}`, `{"x":1}`, 1)
		if string(got) != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestMistakesInCasesAreRefused(t *testing.T) {
	for _, c := range []struct{ kind, text, want string }{
		{abi.KindTransform, `{"input": [], "gap": "30m"}`, "gap is of plugins of kind session, this one is of kind transform"},
		{abi.KindTransform, `{"input": [[]]}`, "a list of lists"},
		{abi.KindTransform, `{"input": [], "key": "n"}`, "key is of plugins of kind session and scd"},
		{abi.KindSession, `{"input": [], "gap": "30m", "versions": []}`, "versions is of plugins of kind scd"},
		{abi.KindSession, `{"input": []}`, `"gap": "30m"`},
		{abi.KindSession, `{"input": [], "gap": "-1m"}`, `gap "-1m"`},
		{abi.KindSession, `{"input": [], "gap": "30m", "watermark": "soon"}`, `watermark "soon"`},
		{abi.KindSession, `{"input": [], "gap": "30m", "key": "n", "key_type": "long"}`, "key_type is of _key"},
		{abi.KindSession, `{"input": [], "gap": "30m", "key_type": "uuid"}`, "uuid"},
		{abi.KindSession, `{"input": [{"n": 1, "_event_time": "2026-01-01T00:00:00Z"}], "gap": "30m"}`, `row 0, column "_key": it is missing`},
		{abi.KindSession, `{"input": [{"n": 1, "_key": "a"}], "gap": "30m"}`, `row 0, column "_event_time": it is missing`},
		{abi.KindSession, `{"input": [{"_key": "a", "_event_time": "2026-01-01T00:00:00Z"}, {"_key": "a", "_event_time": "noon"}], "gap": "30m"}`, `row 1, column "_event_time": "noon"`},
		{abi.KindSession, `{"input": [{"_key": "a", "n": 1}], "gap": "30m", "event_time": "at"}`, `row 0, column "at": it is null, and it is the case's event_time`},
		{abi.KindSession, `{"input": [{"_key": "a", "n": 1}], "gap": "30m", "event_time": "n"}`, `column "n" is of type int64, it must be a timestamp`},
		{abi.KindSession, `{"input": [{"_event_time": "2026-01-01T00:00:00Z"}], "gap": "30m", "key": "who"}`, `there is no column "who", there is n, at`},
		{abi.KindSession, `{"input": [{"_key": "a", "_op": "c", "_event_time": "2026-01-01T00:00:00Z"}], "gap": "30m"}`, `there is no column "_op"`},
		{abi.KindSCD, `{"input": [{"_key": "a", "_op": "x", "_effective_at": "2026-01-01T00:00:00Z"}]}`, `row 0, column "_op": "x": expected c, u, d or r`},
		{abi.KindSCD, `{"input": [{"_key": "a"}]}`, `row 0, column "_effective_at": it is missing`},
		{abi.KindSCD, `{"input": [], "output": []}`, "output is of plugins of kind transform and session"},
	} {
		rows, err := parsed(t, c.text).Rows(described(c.kind))
		if err == nil {
			rows.Release()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.text, err, c.want)
		}
	}
	for text, want := range map[string]string{
		`{"input": [[], {}]}`:                                       "batch 1: expected a list of rows",
		`{"input": [], "errors": [{"code": "a"}]}`:                  "give row, the input row, or session",
		`{"input": [], "errors": [{"row":1,"session":1}]}`:          "give row, the input row, or session",
		`{"input": [], "output": [], "streams": {"0": []}}`:         "give one",
		`{"input": [], "decision": []}`:                             "unknown field",
		`[{"input": []}, {"input": [], "errors": [{"code": "a"}]}]`: "cannot unmarshal",
	} {
		if _, err := ParseCase([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if _, err := ParseCases([]byte(`[{"input": []}, {"name": "x", "input": [], "errors": [{"code": "a"}]}]`)); err == nil || !strings.Contains(err.Error(), `number 2, "x"`) {
		t.Errorf("a list: got %v", err)
	}
}

func TestEventsAreOfTheSessionsThatAreNear(t *testing.T) {
	for _, c := range []struct {
		name   string
		there  string // start-end of sessions
		events []int64
		want   string
	}{
		{"one event", "", []int64{5}, "[] 5"},
		{"as far apart as the gap", "", []int64{0, 10, 20}, "[] 0 10 20"},
		{"further apart", "", []int64{0, 11, 20}, "[] 0|[] 11 20"},
		{"a session is extended at its end", "0-10", []int64{20, 30}, "[0-10] 20 30"},
		{"and at its start", "20-30", []int64{10}, "[20-30] 10"},
		{"within", "0-100", []int64{50}, "[0-100] 50"},
		{"two are joined", "0-10 30-40", []int64{20}, "[0-10 30-40] 20"},
		{"three are joined", "0-10 30-40 60-70", []int64{20, 50}, "[0-10 30-40 60-70] 20 50"},
		{"another is left", "0-10 100-110", []int64{20}, "[0-10] 20|[100-110]"},
		{"a new one between", "0-10 100-110", []int64{50}, "[0-10]|[] 50|[100-110]"},
		{"before the common era", "", []int64{firstTime, lastTime}, fmt.Sprintf("[] %d|[] %d", int64(firstTime), int64(lastTime))},
	} {
		s := &sessions{rows: Rows{times: c.events, gap: 10}, byKey: [][]*session{nil}}
		for _, text := range strings.Fields(c.there) {
			one := &session{}
			if _, err := fmt.Sscanf(text, "%d-%d", &one.start, &one.end); err != nil {
				t.Fatal(err)
			}
			s.byKey[0] = append(s.byKey[0], one)
		}
		rows := make([]int, len(c.events))
		for i := range rows {
			rows[i] = i
		}
		var got []string
		for _, g := range s.assign(0, rows) {
			var joined, events []string
			for _, one := range g.joined {
				joined = append(joined, fmt.Sprintf("%d-%d", one.start, one.end))
			}
			for _, row := range g.rows {
				events = append(events, fmt.Sprint(c.events[row]))
			}
			got = append(got, strings.TrimSpace("["+strings.Join(joined, " ")+"] "+strings.Join(events, " ")))
		}
		if text := strings.Join(got, "|"); text != c.want {
			t.Errorf("%s: got %s, want %s", c.name, text, c.want)
		}
	}
}

func TestSessionsHaveTheBoundsOfAcceptedEvents(t *testing.T) {
	s := &sessions{rows: Rows{times: []int64{3, 5, 9}, gap: 10}, byKey: [][]*session{nil}}
	s.keep(&group{rows: []int{0, 1, 2}}, nil, map[int]bool{0: true})
	s.keep(&group{rows: []int{0}}, nil, map[int]bool{0: true})
	if all := s.byKey[0]; len(all) != 1 || *all[0] != (session{start: 5, end: 9, count: 2}) {
		t.Errorf("got %+v, want one session from 5 to 9", all)
	}
	s.keep(&group{joined: []*session{s.byKey[0][0]}, rows: []int{0}}, nil, nil)
	if one := *s.byKey[0][0]; one != (session{start: 3, end: 9, count: 3}) {
		t.Errorf("got %+v, want it from 3 on", one)
	}
}

func TestDecisionsMakeVersions(t *testing.T) {
	type change struct {
		action wasm.Action
		at     int64
	}
	const ignore, overwrite, version, remove = wasm.ActionIgnore, wasm.ActionOverwrite, wasm.ActionNewVersion, wasm.ActionDelete
	for _, c := range []struct {
		name    string
		changes []change
		want    string
	}{
		{"nothing", []change{{ignore, 1}}, ""},
		{"a version", []change{{version, 1}}, "1-"},
		{"another", []change{{version, 1}, {version, 5}}, "1-5 5-"},
		{"overwritten", []change{{version, 1}, {overwrite, 5}}, "1-"},
		{"overwritten without a version", []change{{overwrite, 5}}, "5-"},
		{"deleted", []change{{version, 1}, {remove, 5}}, "1-5"},
		{"deleted without a version", []change{{remove, 5}, {remove, 6}}, ""},
		{"come again", []change{{version, 1}, {remove, 5}, {version, 9}}, "1-5 9-"},
		{"the last of equal times wins", []change{{version, 1}, {version, 5}, {version, 5}}, "1-5 5-"},
		{"deleted at once", []change{{version, 1}, {remove, 1}}, ""},
	} {
		m := member{}
		for _, change := range c.changes {
			m.apply(change.action, change.at, nil)
		}
		var got []string
		for _, v := range m.versions {
			text := fmt.Sprintf("%d-", v.from)
			if !v.open {
				text += fmt.Sprint(v.to)
			}
			got = append(got, text)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: got %q, want %q", c.name, text, c.want)
		}
	}
}

func TestChangesOfAKeyAreDecidedOneAfterTheOther(t *testing.T) {
	c := changes{keyOf: []int{0, 1, 0, 0, 2, 1}, members: make([]member, 3)}
	if got := fmt.Sprint(c.rounds()); got != "[[0 1 4] [2 5] [3]]" {
		t.Errorf("got %s", got)
	}
	r := Rows{times: []int64{5, 1, 5, 4}}
	if err := r.checkOrder([]int{0, 1, 0, 1}); err != nil {
		t.Errorf("in order: got %v", err)
	}
	if err := r.checkOrder([]int{0, 1, 0, 0}); err == nil || !strings.Contains(err.Error(), `row 3, column "_effective_at": it is before that of row 2`) {
		t.Errorf("out of order: got %v", err)
	}
}

func TestRandomRowsAreThoseOfTheirSeed(t *testing.T) {
	setup := Setup{Input: arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil), Key: arrow.PrimitiveTypes.Int32}
	for _, kind := range []string{abi.KindTransform, abi.KindSession, abi.KindSCD} {
		texts := make([]string, 2)
		for i := range texts {
			random := NewRandom(7, nil)
			for n := range 30 {
				rows := random.Rows(kind, setup, n)
				input, err := rows.InputRows()
				if err != nil {
					t.Fatal(err)
				}
				if len(input) != n {
					t.Errorf("%s: got %d rows, want %d", kind, len(input), n)
				}
				texts[i] += fmt.Sprintf("%s %v\n", input, rows.arrive)
				if kind == abi.KindSCD {
					keyOf, _, err := rows.keyNumbers()
					if err != nil {
						t.Fatal(err)
					}
					if err := rows.checkOrder(keyOf); err != nil {
						t.Error(err)
					}
				}
				rows.Release()
			}
		}
		if texts[0] != texts[1] {
			t.Errorf("%s: the same seed gives other rows", kind)
		}
	}
}

func TestErrorsAboutSessionsAreToldFromThoseAboutRows(t *testing.T) {
	c := parsed(t, `{"input": [], "errors": [{"row": 0, "code": "a"}, {"session": 0, "code": "b"}, {"session": 2, "code": "c"}]}`)
	got := Answer{Errors: []AnswerError{
		{wasm.RowError{Row: 0, Code: "a"}, false}, {wasm.RowError{Row: 0, Code: "x", Message: "m"}, true}, {wasm.RowError{Row: 1, Code: "y", Message: "m"}, true},
	}}
	var lines []string
	for _, d := range c.compareErrors(got) {
		lines = append(lines, d.String())
	}
	want := []string{`sessions, row 0: got the row error "x": m; want "b"`, `sessions, row 1: got the row error "y": m; want none`, `sessions, row 2: got no row error, want "c"`}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}

func TestStateIsCheckedByItsDescription(t *testing.T) {
	state := func(text string) abi.Describe {
		return abi.Describe{Kind: abi.KindSession, State: []abi.StateColumn{{Column: abi.Column{Name: "n", Format: "l", Nullable: new(bool)}, Initial: []byte(text)}}}
	}
	none := state("0")
	none.State[0].Initial = nil
	stored := func(streams ...abi.Stream) abi.Describe { return abi.Describe{Kind: abi.KindSCD, Outputs: streams} }
	for _, c := range []struct {
		name     string
		describe abi.Describe
		want     string
	}{
		{"a number", state("0"), ""},
		{"a text", state(`"many"`), `column "n": "many" is not a value`},
		{"nothing", none, `column "n": it is null`},
		{"attributes", stored(abi.Stream{Columns: []abi.Column{{Name: "n", Format: "l"}}}), ""},
		{"an action among the attributes", stored(abi.Stream{Columns: []abi.Column{{Name: "_action", Format: "c"}}}), `"_action" comes with each decision`},
		{"two streams", stored(abi.Stream{}, abi.Stream{Stream: 1}), "has no other"},
	} {
		err := CheckDescription(c.describe)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
