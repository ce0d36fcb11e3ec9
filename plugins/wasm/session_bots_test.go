package wasm

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// requests is what the session plugins below testdata/session read, and robots
// what they make of a session.
func requests() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		nullable("user_agent", arrow.BinaryTypes.String), nullable("path", arrow.BinaryTypes.String), nullable("event_time", timestamptz),
	}, nil)
}

func robots() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		{Name: "requests", Type: arrow.PrimitiveTypes.Int64}, {Name: "marks", Type: arrow.PrimitiveTypes.Int64},
		{Name: "max_rate", Type: arrow.PrimitiveTypes.Int64}, {Name: "is_bot", Type: arrow.FixedWidthTypes.Boolean},
	}, nil)
}

func openBots(t *testing.T, language string) *Session {
	t.Helper()
	p, err := testHost(t).Compile(t.Context(), readFile(t, filepath.Join("testdata", "session", language, "bots.wasm")), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.OpenSession(t.Context(), Init{Model: "m", Input: requests(), Output: robots(), Key: arrow.BinaryTypes.String})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// visit is n requests of an agent, so many a second, each for another path of so
// many.
func visit(agent string, n, rate, paths int) []string {
	rows := make([]string, n)
	for i := range rows {
		second := i / rate
		rows[i] = fmt.Sprintf(`{"user_agent": %q, "path": "/page/%d", "event_time": "2026-01-01T00:%02d:%02d.5Z"}`, agent, i%paths, second/60, second%60)
	}
	return rows
}

func TestRobotsAreToldFromPeople(t *testing.T) {
	visits := [][]string{
		visit("Mozilla/5.0 (X11; Linux x86_64)", 5, 1, 3),
		visit("Mozilla/5.0 (compatible; GoogleBot/2.1)", 2, 1, 2),
		visit("Mozilla/5.0 (Macintosh)", 30, 11, 1),
		visit("Mozilla/5.0 (Windows)", 300, 2, 300),
		visit("some SPIDER", 1, 1, 1),
		visit("a crawler", 1, 1, 1),
		{`{"user_agent": null, "path": null, "event_time": null}`},
	}
	var rows []string
	var groups []uint32
	for g, v := range visits {
		rows = append(rows, v...)
		for range v {
			groups = append(groups, uint32(g))
		}
	}
	for _, language := range []string{"c", "go"} {
		t.Run(language, func(t *testing.T) {
			s := openBots(t, language)
			u, err := s.Accumulate(t.Context(), rowsOf(t, requests(), "["+strings.Join(rows, ",")+"]"), groups, initialState(t, s, len(visits)))
			if err != nil || len(u.Errors) > 0 {
				t.Fatal(u.Errors, err)
			}
			defer u.State.Release()
			checkRobots(t, s, u.State, `[
				{"requests": 5, "marks": 3, "max_rate": 1, "is_bot": false}, {"requests": 2, "marks": 2, "max_rate": 1, "is_bot": true},
				{"requests": 30, "marks": 1, "max_rate": 11, "is_bot": true}, {"requests": 300, "marks": 64, "max_rate": 2, "is_bot": true},
				{"requests": 1, "marks": 1, "max_rate": 1, "is_bot": true}, {"requests": 1, "marks": 1, "max_rate": 1, "is_bot": true},
				{"requests": 1, "marks": 0, "max_rate": 1, "is_bot": false}]`)
			into, from := u.State.NewSlice(0, 2), u.State.NewSlice(2, 4)
			defer into.Release()
			defer from.Release()
			m, err := s.Merge(t.Context(), into, from)
			if err != nil {
				t.Fatal(err)
			}
			defer m.State.Release()
			checkRobots(t, s, m.State, `[{"requests": 35, "marks": 3, "max_rate": 11, "is_bot": true}, {"requests": 302, "marks": 64, "max_rate": 2, "is_bot": true}]`)
		})
	}
}

// checkRobots finishes sessions of that state.
func checkRobots(t *testing.T, s *Session, state arrow.RecordBatch, want string) {
	t.Helper()
	sessions := strings.Repeat(`{"_key": "k", "_start": "2026-01-01T00:00:00Z", "_end": "2026-01-01T00:00:00Z", "_count": 1, "_closed": true},`, int(state.NumRows()))
	ends := rowsOf(t, arrow.NewSchema(s.FinishSchema().Fields()[state.NumCols():], nil), "["+strings.TrimSuffix(sessions, ",")+"]")
	all := array.NewRecordBatch(s.FinishSchema(), append(append([]arrow.Array{}, state.Columns()...), ends.Columns()...), state.NumRows())
	defer all.Release()
	r, err := s.Finish(t.Context(), all, NoWatermark)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	checkRows(t, r.Outputs[0].Rows, rowsOf(t, robots(), want))
}
