package upstream_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/upstream"
)

// orderFields are those of the models that are read.
func orderFields() []arrow.Field {
	return []arrow.Field{
		recordtest.Nullable("id", arrow.BinaryTypes.String), recordtest.Nullable("at", record.Timestamptz),
		recordtest.Nullable("n", arrow.PrimitiveTypes.Int64), recordtest.Nullable("ratio", arrow.PrimitiveTypes.Float64),
	}
}

func staging(changes bool) upstream.Model {
	return upstream.Model{Name: "stg_orders", Schema: recordtest.StagingSchema(orderFields(), changes)}
}

func keyed() upstream.Model {
	return upstream.Model{Name: "dim_orders", Schema: recordtest.KeyedSchema(orderFields()...), Key: []string{"id"}}
}

func TestModelsAreToldApart(t *testing.T) {
	likeChanges := keyed()
	likeChanges.Schema = recordtest.KeyedSchema(append(orderFields(), record.ChangeFields()...)...)
	for name, c := range map[string]struct {
		model          upstream.Model
		keyed, changes bool
	}{
		"events":                {staging(false), false, false},
		"changes of a database": {staging(true), false, true},
		"a keyed model":         {keyed(), true, false},
		"a keyed model with columns of that name": {likeChanges, true, false},
	} {
		if c.model.IsKeyed() != c.keyed || c.model.HasChanges() != c.changes {
			t.Errorf("%s: got keyed %v, changes %v", name, c.model.IsKeyed(), c.model.HasChanges())
		}
		if err := c.model.Check("from"); err != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWhatAModelLacksIsTold(t *testing.T) {
	events, rows, twice, other := staging(false), keyed(), keyed(), keyed()
	events.Schema, rows.Schema, other.Key = keyed().Schema, arrow.NewSchema(orderFields(), nil), []string{"key"}
	twice.Schema = recordtest.KeyedSchema(append(orderFields(), orderFields()[0])...)
	second := func(_ any, err error) error { return err }
	for want, err := range map[string]error{
		"from: stg_orders has no column kafka_topic":                                      events.Check("from"),
		"left_join[0].to: dim_orders has no column kafka_timestamp":                       rows.Check("left_join[0].to"),
		"to: dim_orders has no column key":                                                other.Check("to"),
		"x: dim_orders has no column id":                                                  second(twice.Field("x", "id")),
		"event_time: column n is long, expected timestamptz; derive one in the model":     staging(false).CheckTimestamptz("event_time", "n"),
		"event_time: stg_orders has no column nobody":                                     staging(false).CheckTimestamptz("event_time", "nobody"),
		"grain: column ratio is double, which cannot be part of a key; expected string, ": second(keyed().KeyFields("grain", []string{"id", "ratio"})),
		"grain: column id twice":                                                          second(keyed().KeyFields("grain", []string{"id", "n", "id"})),
		"grain: dim_orders has no column nobody":                                          second(keyed().KeyFields("grain", []string{"nobody"})),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := staging(false).CheckTimestamptz("event_time", "at"); err != nil {
		t.Error(err)
	}
	if fields, err := keyed().KeyFields("grain", []string{"n", "id"}); err != nil || len(fields) != 2 || fields[0].Name != "n" || fields[1].Type != arrow.BinaryTypes.String {
		t.Errorf("got %v, %v", fields, err)
	}
}

func TestWhatIsUsedLaterIsKept(t *testing.T) {
	model := keyed()
	model.Schema = recordtest.KeyedSchema(append([]arrow.Field{{Name: "day", Type: arrow.FixedWidthTypes.Time64us}, {Name: "sure", Type: arrow.PrimitiveTypes.Int32}}, orderFields()...)...)
	kept, err := model.Kept(map[string]bool{"n": true, "sure": true, "nobody": true})
	if err != nil {
		t.Fatal(err)
	}
	want := arrow.NewSchema([]arrow.Field{recordtest.Nullable("sure", arrow.PrimitiveTypes.Int32), recordtest.Nullable("n", arrow.PrimitiveTypes.Int64)}, nil)
	if !kept.Equal(want) {
		t.Errorf("got %v", kept)
	}
	if _, err := model.Kept(map[string]bool{"day": true}); err == nil || !strings.HasSuffix(err.Error(), "which no table holds") {
		t.Errorf("got %v", err)
	}
}
