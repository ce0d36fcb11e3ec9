package avro

import (
	"math/rand/v2"
	"testing"
)

// fuzzSchemas cover each kind of type; a fuzzer's first byte chooses one.
var fuzzSchemas = []string{
	clickSchema,
	`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"null"}},{"name":"b","type":{"type":"map","values":"string"}},
	 {"name":"c","type":{"type":"array","items":{"type":"array","items":["null","int"]}}}]}`,
	`{"type":"record","name":"R","fields":[{"name":"a","type":["null","int","string",{"type":"record","name":"S","fields":[{"name":"x","type":"double"}]}]},
	 {"name":"b","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"c","type":["null","R"]},{"name":"d","type":"boolean"}]}`,
	`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
	 {"name":"b","type":{"type":"fixed","name":"F","size":16,"logicalType":"uuid"}},{"name":"c","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}},
	 {"name":"d","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"e","type":{"type":"long","logicalType":"timestamp-nanos"}},
	 {"name":"f","type":{"type":"int","logicalType":"date"}},{"name":"g","type":"float"},{"name":"h","type":"bytes"}]}`,
	`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":{"type":"record","name":"S","fields":[
	 {"name":"x","type":"string"},{"name":"y","type":{"type":"map","values":["null","long"]}}]}}},{"name":"b","type":["string","long"]}]}`,
}

func FuzzAvro(f *testing.F) {
	var pairs []*pair
	for i, text := range fuzzSchemas {
		p := newPair(f, text)
		pairs = append(pairs, p)
		r := rand.New(rand.NewPCG(uint64(i), 3))
		for range 5 {
			f.Add(byte(i), encode(r, nil, p.schema.root, 0))
		}
	}
	for _, body := range clicks(f, 5) {
		f.Add(byte(0), body)
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		pairs[int(which)%len(pairs)].compare(t, data)
	})
}
