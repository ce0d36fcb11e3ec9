package vector

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// allTypes is a schema of one column of each type.
func allTypes(t testing.TB) *arrow.Schema {
	t.Helper()
	fields := make([]arrow.Field, len(types))
	for i, text := range types {
		typ, err := record.ParseType(text)
		if err != nil {
			t.Fatal(err)
		}
		fields[i] = arrow.Field{Name: text, Type: typ, Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// held is what a test still has of a batch, and what it has to be.
type held struct {
	columns []arrow.Array
	want    arrow.RecordBatch
}

// TestBatchesOfAPoolKeepTheirRows makes batches of random rows, of different
// numbers, and releases them late and in any order, some but for one column,
// while others are made of the memory of those before.
func TestBatchesOfAPoolKeepTheirRows(t *testing.T) {
	schema := allTypes(t)
	pool := NewPool(schema)
	var all sync.WaitGroup
	for seed := range uint64(4) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, 3))
			builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
			var live []held
			for range 150 {
				set, err := pool.Set(random.IntN(40))
				if err != nil {
					t.Error(err)
					return
				}
				for rows := random.IntN(60); set.Row < rows; set.Next() {
					if random.IntN(4) == 0 { // a row that comes to nothing
						for i, v := range set.Columns {
							discarded := array.NewBuilder(memory.DefaultAllocator, schema.Field(i).Type)
							write(random, v, set.Row, discarded)
						}
						set.Rollback()
					}
					for i, v := range set.Columns {
						write(random, v, set.Row, builder.Field(i))
					}
				}
				made := set.Batch()
				h := held{want: builder.NewRecordBatch()}
				for i := range made.Columns() {
					if random.IntN(3) > 0 {
						h.columns = append(h.columns, array.NewSlice(made.Column(i), 0, made.NumRows()))
					} else {
						h.columns = append(h.columns, nil)
					}
				}
				if !array.RecordEqual(made, h.want) {
					t.Errorf("seed %d: got %v\nwant %v", seed, made, h.want)
				}
				made.Release()
				live = append(live, h)
				for len(live) > random.IntN(6) {
					at := random.IntN(len(live))
					live[at].check(t)
					live = append(live[:at], live[at+1:]...)
				}
			}
		})
	}
	all.Wait()
}

// check compares the columns that are held and releases them.
func (h held) check(t *testing.T) {
	for i, c := range h.columns {
		if c == nil {
			continue
		}
		if !array.Equal(c, h.want.Column(i)) {
			t.Errorf("a column that is held changed: got %v, want %v", c, h.want.Column(i))
		}
		c.Release()
	}
}

func TestMemoryOfReleasedBatchesIsUsedAgain(t *testing.T) {
	pool := NewPool(arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil))
	seen := map[*int64]bool{}
	for range 2 {
		runtime.GC() // nor does that matter
		set, err := pool.Set(1000)
		if err != nil {
			t.Fatal(err)
		}
		at := unsafe.SliceData(set.Columns[0].I64)
		if seen[at] {
			return
		}
		seen[at] = true
		set.Columns[0].I64[0] = 1
		set.Next()
		set.Batch().Release()
	}
	t.Error("got new memory for each of two batches")
}

func TestLargeSetsAreNotKept(t *testing.T) {
	pool := NewPool(arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil))
	set, err := pool.Set(maxPooled/8 + 1)
	if err != nil {
		t.Fatal(err)
	}
	set.Batch().Release()
	if kept := pool.free.Get(); kept != nil || pool.held.Load() != nil {
		t.Error("got a set of more bytes than are kept")
	}
}
