package kafka

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pool recycles what fetches are decompressed and parsed into, which is most of
// what a source would allocate. It implements kgo.PoolDecompressBytes and
// kgo.PoolRecords.
type pool struct {
	bytes   sync.Pool // *[]byte
	records sync.Pool // *[]kgo.Record
}

func newPool() *pool { return &pool{} }

// GetDecompressBytes guesses that text compresses to a quarter; a slice that
// turns out too short is grown and comes back grown.
func (p *pool) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	if b, ok := p.bytes.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, 4*len(compressed))
}

// PutDecompressBytes takes a slice back.
func (p *pool) PutDecompressBytes(b []byte) {
	b = b[:0]
	p.bytes.Put(&b)
}

// GetRecords returns a slice with room for n records.
func (p *pool) GetRecords(n int) []kgo.Record {
	if r, ok := p.records.Get().(*[]kgo.Record); ok && cap(*r) >= n {
		return *r
	}
	return make([]kgo.Record, 0, n)
}

// PutRecords takes a slice back.
func (p *pool) PutRecords(r []kgo.Record) {
	r = r[:0]
	p.records.Put(&r)
}
