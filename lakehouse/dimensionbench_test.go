package lakehouse

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/record"
)

// dimensionSchema is what a dimension with history is made of.
var dimensionSchema = arrow.NewSchema([]arrow.Field{
	{Name: "customer_key", Type: arrow.BinaryTypes.String}, {Name: "customer_durable_key", Type: arrow.BinaryTypes.String},
	{Name: "customer_id", Type: arrow.PrimitiveTypes.Int64}, {Name: "name", Type: arrow.BinaryTypes.String}, {Name: "city", Type: arrow.BinaryTypes.String},
	{Name: "tier", Type: arrow.BinaryTypes.String},
	{Name: "valid_from", Type: record.Timestamptz}, {Name: "valid_to", Type: record.Timestamptz, Nullable: true}, {Name: "changed_at", Type: record.Timestamptz},
	{Name: "is_current", Type: arrow.FixedWidthTypes.Boolean}, {Name: "is_deleted", Type: arrow.FixedWidthTypes.Boolean}, {Name: "is_inferred", Type: arrow.FixedWidthTypes.Boolean},
	{Name: "kafka_timestamp", Type: record.Timestamptz, Nullable: true}, {Name: "ingested_at", Type: record.Timestamptz, Nullable: true},
}, nil)

const dimensionTable = "marts.dim_customer"

// dimensionBench is a dimension of that many members on the local disk, of which
// each epoch changes some: a change closes a member's current row and creates
// the next.
type dimensionBench struct {
	*testing.B
	lake    *Lake
	start   *Start
	config  ChangeConfig
	rng     *rand.Rand
	zipf    zipf
	version []uint16 // by member
	now     int64    // event time, µs

	rows, changes int64 // of the table; of members
	cpu           time.Duration
	total         RewriteStats
}

// dimensionLayout is how a dimension lies in files.
type dimensionLayout struct{ clustered, vectors bool }

func newDimensionBench(b *testing.B, members int, layout dimensionLayout) *dimensionBench {
	d := &dimensionBench{B: b, rng: rand.New(rand.NewPCG(7, 7)), version: make([]uint16, members), now: 1_700_000_000_000_000}
	d.zipf = newZipf(d.rng, members)
	// The sizes of files follow the number of members, so that a smaller run has
	// as many of them as ten million members have.
	d.config = ChangeConfig{TargetBytes: int64(float64(keyedFileBytes) * min(1, float64(members)/10e6))}
	definition := Definition{ID: catalog.Identifier{Namespace: "marts", Name: "dim_customer"}, Schema: dimensionSchema, Key: []string{"customer_key"}, Vectors: layout.vectors}
	if layout.clustered {
		definition.Current = "is_current"
	}
	d.lake, d.start = benchLakeOf(b, definition)
	const step = 500_000
	for from := 0; from < members; from += step {
		rows := newDimensionRows(d)
		for member := from; member < min(members, from+step); member++ {
			rows.current(member)
		}
		d.epoch(rows)
	}
	d.reset()
	return d
}

func (d *dimensionBench) reset() { d.cpu, d.total, d.changes = 0, RewriteStats{}, 0 }

// change changes that share of the members, in one epoch.
func (d *dimensionBench) change(percent int) {
	d.now += int64(time.Minute / time.Microsecond)
	rows := newDimensionRows(d)
	for _, member := range d.zipf.distinct(len(d.version) * percent / 100) {
		rows.closed(member)
		d.version[member]++
		rows.current(member)
		d.changes++
	}
	d.epoch(rows)
}

// epoch takes the time of what a table costs: changes, index, files, record and
// commit.
func (d *dimensionBench) epoch(rows *dimensionRows) {
	log := rows.changelog()
	before := cpuTime(d.B)
	stats := commitChanges(d.B, d.lake, d.start, dimensionTable, d.config, log)
	d.cpu += cpuTime(d.B) - before
	d.total.WrittenBytes += stats.WrittenBytes
	d.total.ChangedBytes += stats.ChangedBytes
	d.rows += stats.Created
}

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// dimensionRows builds a changelog.
type dimensionRows struct {
	bench   *dimensionBench
	builder *array.RecordBuilder
	ops     []record.Op
}

func newDimensionRows(d *dimensionBench) *dimensionRows {
	return &dimensionRows{bench: d, builder: array.NewRecordBuilder(memory.DefaultAllocator, dimensionSchema)}
}

func (r *dimensionRows) changelog() record.Changelog {
	defer r.builder.Release()
	return record.Changelog{Ops: r.ops, Rows: r.builder.NewRecordBatch()}
}

func (r *dimensionRows) current(member int) { r.row(record.OpCreate, member, nil) }

func (r *dimensionRows) closed(member int) { r.row(record.OpUpdate, member, &r.bench.now) }

// row appends the version of a member that it is at. What it says follows from
// member and version alone.
func (r *dimensionRows) row(op record.Op, member int, until *int64) {
	version := int64(r.bench.version[member])
	text := func(parts ...any) string {
		sum := md5.Sum(fmt.Append(nil, parts...))
		return hex.EncodeToString(sum[:])
	}
	h := uint64(member)*0x9e3779b97f4a7c15 + uint64(version)*0xbf58476d1ce4e5b9
	from := 1_600_000_000_000_000 + int64(h%1e13)
	row := &rowBuilder{builder: r.builder}
	row.string(text("customer", member, version))
	row.string(text("customer", member))
	row.int64(int64(member))
	row.string(fmt.Sprintf("%s %s", firstNames[member%len(firstNames)], lastNames[member/7%len(lastNames)]))
	row.string(fmt.Sprintf("city of %s", lastNames[h>>40%uint64(len(lastNames))]))
	row.string([]string{"bronze", "silver", "gold"}[h>>50%3])
	row.timestamp(&from)
	row.timestamp(until)
	changed := from
	if until != nil {
		changed = *until
	}
	row.timestamp(&changed)
	for _, flag := range []bool{until == nil, false, false} {
		row.next().(*array.BooleanBuilder).Append(flag)
	}
	kafka, ingested := changed+int64(h%5000), r.bench.now
	row.timestamp(&kafka)
	row.timestamp(&ingested)
	r.ops = append(r.ops, op)
}

var (
	firstNames = []string{"Ada", "Alan", "Barbara", "Claude", "Donald", "Edsger", "Frances", "Grace", "Hedy", "John", "Katherine", "Leslie", "Margaret", "Niklaus", "Radia", "Tony"}
	lastNames  = []string{"Allen", "Austin", "Boulder", "Cambridge", "Denver", "Dijkstra", "Hamilton", "Hopper", "Johnson", "Knuth", "Lamarr", "Lamport", "Liskov", "Lovelace", "Neumann", "Perlman", "Princeton", "Shannon", "Turing", "Wirth"}
)

// zipf draws members of which few change often, by the law of Zipf with
// exponent 1: the member of rank r is drawn in proportion to 1/r. Ranks are
// scattered over the members.
type zipf struct {
	rng  *rand.Rand
	n    int
	log  float64
	seen []bool
}

func newZipf(rng *rand.Rand, n int) zipf {
	return zipf{rng: rng, n: n, log: math.Log(float64(n) + 1), seen: make([]bool, n)}
}

// distinct draws until it has that many members, in the order in which each was
// drawn first.
func (z zipf) distinct(count int) []int {
	drawn := make([]int, 0, count)
	for len(drawn) < count {
		rank := min(int(math.Exp(z.rng.Float64()*z.log))-1, z.n-1)
		member := int(uint64(rank) * 2_654_435_761 % uint64(z.n))
		if !z.seen[member] {
			z.seen[member] = true
			drawn = append(drawn, member)
		}
	}
	for _, member := range drawn {
		z.seen[member] = false
	}
	return drawn
}

// BenchmarkDimension changes a dimension of ten million members, or of as many as
// CALVE_DIMENSION_MEMBERS says.
func BenchmarkDimension(b *testing.B) {
	members, err := strconv.Atoi(cmp.Or(os.Getenv("CALVE_DIMENSION_MEMBERS"), "10000000"))
	if err != nil {
		b.Fatalf("CALVE_DIMENSION_MEMBERS: %v", err)
	}
	for b.Loop() {
		reportDimension(b, members)
		reportVectors(b, members)
	}
}

// BenchmarkFigureDimension is BenchmarkDimension with fewer members, in files
// that are smaller in proportion; and how much more is written where current and
// closed rows are not told apart, after twenty epochs that changed one member of
// ten.
func BenchmarkFigureDimension(b *testing.B) {
	for b.Loop() {
		reportDimension(b, 1_000_000)
		reportVectors(b, 2_000_000)
		written := map[bool]int64{}
		for _, clustered := range []bool{true, false} {
			d := newDimensionBench(b, 40_000, dimensionLayout{clustered: clustered})
			for range 20 {
				d.change(10)
			}
			d.reset()
			for range 5 {
				d.change(1)
			}
			written[clustered] = d.total.WrittenBytes
		}
		b.ReportMetric(float64(written[false])/float64(written[true]), "dimension.clustered.vs_unclustered")
	}
}

// reportDimension measures epochs that change one member of a hundred, and of
// ten. The first epoch of each share is not counted: it finds the members as they
// were loaded.
func reportDimension(b *testing.B, members int) {
	d := newDimensionBench(b, members, dimensionLayout{clustered: true})
	b.ReportMetric(d.measure(1, 3), "dimension.cow.1pct.changes_per_cpu_second")
	b.ReportMetric(d.total.ByteAmplification(), "dimension.write_amplification")
	b.ReportMetric(d.measure(10, 2), "dimension.cow.10pct.changes_per_cpu_second")
	_, index := d.start.Tables[dimensionTable].IndexSize()
	b.ReportMetric(float64(index)/float64(d.rows), "dimension.index.bytes_per_row")
}

// reportVectors measures the same under profile v3-dv, over enough epochs for
// files to be folded: what is put off is part of the price.
func reportVectors(b *testing.B, members int) {
	d := newDimensionBench(b, members, dimensionLayout{clustered: true, vectors: true})
	b.ReportMetric(d.measure(1, 20), "dimension.v3dv.changes_per_cpu_second")
	b.ReportMetric(d.total.ByteAmplification(), "dimension.v3dv.write_amplification")
}

// measure is how many members that many epochs change in a second of a processor.
func (d *dimensionBench) measure(percent, epochs int) float64 {
	d.change(percent)
	d.reset()
	for range epochs {
		d.change(percent)
	}
	return float64(d.changes) / d.cpu.Seconds()
}
