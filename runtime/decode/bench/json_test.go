package bench

import (
	"testing"
)

// clickReaders are ours, arrow-go's, and the libraries.
func clickReaders(t testing.TB) []candidate {
	messages, schema := clicks(), schemaOf(t, clickColumns)
	return []candidate{
		ours(t, "json", clickColumns, messages), arrowGo(schema, messages), sonicVisitor(schema, messages),
		sonicStructs(schema, messages), goccyStructs(schema, messages), valyala(schema, messages),
	}
}

func TestJSONReadersAgree(t *testing.T) {
	agree(t, clickReaders(t)...)
	agree(t, debeziumReaders(t)...)
}

func BenchmarkFigureJSONClick(b *testing.B) {
	readers := clickReaders(b)
	for b.Loop() {
		took := measure(b, readers...)
		b.ReportMetric(ratio(took[0], took[1]), "decode.json.click.vs_arrow")
		b.ReportMetric(ratio(took[0], took[2:]...), "decode.json.click.vs_library")
	}
}
