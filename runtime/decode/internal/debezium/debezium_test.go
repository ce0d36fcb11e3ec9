package debezium

import (
	"bytes"
	"math"
	"testing"
)

func sourceOf(connector string, set func(*Source)) *Source {
	s := new(Source)
	s.SetText(Connector, []byte(connector))
	set(s)
	return s
}

func TestSequencesOrderTheChangesOfASource(t *testing.T) {
	mysql := func(file string, pos, row int64) *Source {
		return sourceOf("mysql", func(s *Source) { s.SetText(File, []byte(file)); s.SetLong(Pos, pos); s.SetLong(Row, row) })
	}
	mongo := func(ms, ord int64) *Source {
		return sourceOf("mongodb", func(s *Source) { s.SetLong(TsMs, ms); s.SetLong(Ord, ord) })
	}
	postgres := func(lsn int64) *Source {
		return sourceOf("postgresql", func(s *Source) { s.SetLong(LSN, lsn) })
	}
	for name, ordered := range map[string][]*Source{
		"postgresql": {postgres(0), postgres(9), postgres(10), postgres(24023128), postgres(math.MaxInt64)},
		"mysql": {mysql("mysql-bin.000003", 4, 0), mysql("mysql-bin.000003", 4, 9), mysql("mysql-bin.000003", 4, 10), mysql("mysql-bin.000003", 100, 0),
			mysql("mysql-bin.000010", 4, 0), mysql("mysql-bin.999999", 4, 0), mysql("mysql-bin.1000000", 4, 0)},
		"mongodb": {mongo(1736245800000, 2), mongo(1736245800000, 31), mongo(1736245801000, 1), mongo(17362458010000, 1)},
	} {
		var before []byte
		for i, s := range ordered {
			text, ok := s.AppendSequence(nil)
			if !ok || bytes.Compare(before, text) >= 0 || i > 0 && len(text) != len(before) {
				t.Errorf("%s: %q is not behind %q, at its width", name, text, before)
			}
			before = text
		}
	}
}

func TestSourcesWithoutSequence(t *testing.T) {
	for name, s := range map[string]*Source{
		"nothing":          new(Source),
		"unknown":          sourceOf("oracle", func(s *Source) { s.SetLong(LSN, 1) }),
		"no lsn":           sourceOf("postgresql", func(s *Source) { s.SetLong(Pos, 1) }),
		"negative lsn":     sourceOf("postgresql", func(s *Source) { s.SetLong(LSN, -1) }),
		"no file":          sourceOf("mysql", func(s *Source) { s.SetLong(Pos, 1) }),
		"file of no form":  sourceOf("mysql", func(s *Source) { s.SetText(File, []byte("000001")); s.SetLong(Pos, 1) }),
		"file of letters":  sourceOf("mysql", func(s *Source) { s.SetText(File, []byte("bin.00x")); s.SetLong(Pos, 1) }),
		"file of digits":   sourceOf("mysql", func(s *Source) { s.SetText(File, []byte("bin.12345678901")); s.SetLong(Pos, 1) }),
		"no pos":           sourceOf("mariadb", func(s *Source) { s.SetText(File, []byte("bin.1")) }),
		"no time of mongo": sourceOf("mongodb", func(s *Source) { s.SetLong(Ord, 1) }),
	} {
		if text, ok := s.AppendSequence([]byte("x")); ok || string(text) != "x" {
			t.Errorf("%s: got %q, %t; want none", name, text, ok)
		}
	}
}

func TestTimestampIsTheFinest(t *testing.T) {
	tests := []struct {
		ms, us, ns int64
		want       int64
		ok         bool
	}{
		{1, 2, 3999, 3, true},
		{1, 2000, 0, 2000, true},
		{1, 0, 0, 1000, true},
		{-1, 0, -1, -1, true},
		{0, 0, 0, 0, false},
		{math.MaxInt64, 0, 0, 0, false},
		{math.MinInt64, 0, 0, 0, false},
	}
	for _, test := range tests {
		var s Source
		s.SetLong(TsMs, test.ms)
		s.SetLong(TsUs, test.us)
		s.SetLong(TsNs, test.ns)
		if got, ok := s.Timestamp(); got != test.want || ok != test.ok {
			t.Errorf("%+v: got %d, %t", test, got, ok)
		}
		s.Reset()
		if _, ok := s.Timestamp(); ok {
			t.Error("a source that was reset has a time")
		}
	}
}

func TestFieldsAreFoundByTheirNames(t *testing.T) {
	for _, f := range Fields() {
		if got, ok := FieldOf([]byte(f.String())); !ok || got != f {
			t.Errorf("%s: got %s, %t", f, got, ok)
		}
	}
	if _, ok := FieldOf([]byte("version")); ok {
		t.Error("version is no field that is read")
	}
}

func TestNames(t *testing.T) {
	s := sourceOf("postgresql", func(s *Source) {
		s.SetText(DB, []byte("shop"))
		s.SetText(Schema, []byte("public"))
		s.SetText(Table, []byte("orders"))
	})
	if got, want := s.Name(), "shop.public.orders"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := new(Source).Name(), "a table"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOps(t *testing.T) {
	for text, want := range map[string]Op{"c": Create, "u": Update, "d": Delete, "r": Read, "t": Truncate, "m": Message} {
		if got, ok := ParseOp([]byte(text)); !ok || got != want || got.String() != text {
			t.Errorf("%s: got %s, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "x", "cc", "C"} {
		if got, ok := ParseOp([]byte(text)); ok {
			t.Errorf("%q: got %s, want none", text, got)
		}
	}
	if Delete.Image() != "before" || Update.Image() != "after" {
		t.Error("a delete's row is in before, the others' in after")
	}
}

func TestMarker(t *testing.T) {
	m := NewMarker("")
	for text, want := range map[string]bool{
		DefaultMarker: true, "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==": true, "5f5f646562657a69756d5f756e617661696c61626c655f76616c7565": true,
		`{"__debezium_unavailable_value":"__debezium_unavailable_value"}`: true, `{"__debezium_unavailable_value":"x"}`: false,
		"b68a35a7-17ad-35b3-af2a-ae46edb4545a": true, "b68a35a7-17ad-35b3-af2a-ae46edb45450": false,
		"": false, "__debezium": false, DefaultMarker + " ": false,
	} {
		if got := m.IsText([]byte(text)); got != want {
			t.Errorf("%q: got %t, want %t", text, got, want)
		}
	}
	if own := NewMarker("?"); !own.Is([]byte("?")) || own.Is([]byte(DefaultMarker)) || own.Placeholder() != "?" {
		t.Error("a placeholder of one's own replaces the default")
	}
}
