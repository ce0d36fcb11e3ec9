package dimension

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

const us = time.Microsecond

// customerFields are those of the input of tests.
func customerFields() []arrow.Field {
	return []arrow.Field{
		recordtest.Nullable("id", arrow.BinaryTypes.String), recordtest.Nullable("sub", arrow.PrimitiveTypes.Int64), recordtest.Nullable("at", record.Timestamptz),
		recordtest.Nullable("name", arrow.BinaryTypes.String), recordtest.Nullable("city", arrow.BinaryTypes.String), recordtest.Nullable("level", arrow.PrimitiveTypes.Int64),
	}
}

func staging(model string, changes bool) upstream.Model {
	return upstream.Model{Name: model, Schema: recordtest.StagingSchema(customerFields(), changes)}
}

func keyedSchema() *arrow.Schema { return recordtest.KeyedSchema(customerFields()...) }

func take(t testing.TB, o *Operator, watermark int64, rows ...recordtest.Row) []record.Reject {
	t.Helper()
	var all []record.Reject
	for _, run := range recordtest.Runs(rows) {
		b := recordtest.Batch(customerFields(), run, recordtest.RecordedAt)
		rejects, err := o.Take(t.Context(), o.spec.From.Name, b, watermark)
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rejects...)
	}
	return all
}

func follow(t testing.TB, o *Operator, watermark int64, changes ...recordtest.Change) {
	t.Helper()
	if len(changes) == 0 {
		return
	}
	log := recordtest.Changelog(keyedSchema().Fields(), changes)
	defer log.Release()
	if err := o.Follow(t.Context(), o.spec.From.Name, log, watermark); err != nil {
		t.Fatal(err)
	}
}

// apply carries out what changed.
func apply(t testing.TB, tb recordtest.Table, o *Operator, log record.Changelog) []string {
	t.Helper()
	defer log.Release()
	return tb.Apply(t, log, func(rows arrow.RecordBatch, row int) (string, string) { return rowText(rows, o.Key(), row) })
}

// end ends an epoch, and carries out what changed.
func end(t testing.TB, o *Operator, tb recordtest.Table, watermark int64) []string {
	t.Helper()
	log, failed, err := o.End(t.Context(), watermark)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failed {
		t.Errorf("not decided: %+v", f)
	}
	return apply(t, tb, o, log)
}

func endInferred(t testing.TB, o *Operator, tb recordtest.Table, watermark int64) []string {
	t.Helper()
	log, err := o.EndInferred(t.Context(), watermark)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range log.Ops {
		if op != record.OpCreate {
			t.Fatalf("an inferred row is no new one: %s", op)
		}
	}
	return apply(t, tb, o, log)
}

func rowText(rows arrow.RecordBatch, key []string, row int) (id, text string) {
	var parts []string
	for c, f := range rows.Schema().Fields() {
		v := recordtest.Text(rows.Column(c), row, instantText)
		if slices.Contains(key, f.Name) {
			id += v + "|"
		}
		parts = append(parts, f.Name+"="+v)
	}
	return id, strings.Join(parts, " ")
}

func instantText(at int64) string {
	switch at {
	case Beginning:
		return "begin"
	case Forever:
		return "forever"
	}
	return recordtest.Micros(at)
}

// memberOf is the natural key (id, sub), as lookups have it.
func memberOf(id string, sub int64) []byte {
	if known, ok := knownMembers()[ask{id: id, sub: sub}]; ok {
		return known
	}
	rows := recordtest.Rows(customerFields()[:2], [][]any{{id, sub}})
	defer rows.Release()
	return rowcodec.AppendRow(nil, rows.Columns(), 0)
}

// knownMembers are those of the random tests, which ask a lot.
var knownMembers = sync.OnceValue(func() map[ask][]byte {
	out := map[ask][]byte{}
	for _, id := range []string{"ann", "bob", "cec"} {
		rows := recordtest.Rows(customerFields()[:2], [][]any{{id, int64(7)}})
		out[ask{id: id, sub: 7}] = rowcodec.AppendRow(nil, rows.Columns(), 0)
		rows.Release()
	}
	return out
})

// customersSpec is customers by id and sub, of changes of a database.
func customersSpec() Spec {
	return Spec{
		Model: "customers", From: staging("stg_customers", true), NaturalKey: []string{"id", "sub"}, SurrogateKey: "customer_key", DurableKey: "durable_key",
		EffectiveAt: "at", Attributes: []string{"name", "city", "level"}, Types: map[string]Type{}, DefaultType: Type2,
		Type1Scope: Type1All, HardDeletes: HardDeletesNewRecord, LateChanges: 100 * us, FirstValidFrom: FirstValidFromBeginning, ValidToCurrent: ValidToMaximum,
	}
}
