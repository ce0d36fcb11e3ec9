package wasm

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/sdk/abi"
)

// environment is what the world looks like to one instance: the same for every
// instance of a plugin, and reset at each call but for what the guest consumed
// of its random bytes and slept.
type environment struct {
	logger *slog.Logger
	random *rand.ChaCha8
	slept  uint64 // ns
	budget api.MutableGlobal
	epoch  *atomic.Int64 // bytes that the opened plugin may still log in this epoch; nil: no bound but the call's

	// of the current call
	logLeft int64
	cut     bool
	stderr  tail
	metrics Metrics
	exited  bool
	status  uint32 // of proc_exit
	message string // of abort
}

// Metrics is what a plugin counted and observed.
type Metrics struct {
	Counters   map[string]int64
	Histograms map[string]Histogram
}

// Histogram sums up what a plugin observed under one name.
type Histogram struct {
	Count         int64
	Sum, Min, Max float64
}

// add adds other's counts and observations.
func (m *Metrics) add(other Metrics) {
	for name, delta := range other.Counters {
		m.count(name, delta)
	}
	for name, h := range other.Histograms {
		m.observe(name, h)
	}
}

// room tells whether a name may be used: it is known or there are few.
func (m *Metrics) room(name string) bool {
	if _, ok := m.Counters[name]; ok {
		return true
	}
	if _, ok := m.Histograms[name]; ok {
		return true
	}
	return name != "" && len(m.Counters)+len(m.Histograms) < abi.DefaultMetrics
}

func (m *Metrics) count(name string, delta int64) {
	if !m.room(name) {
		return
	}
	if m.Counters == nil {
		m.Counters = map[string]int64{}
	}
	m.Counters[name] += delta
}

func (m *Metrics) observe(name string, o Histogram) {
	if !m.room(name) {
		return
	}
	if m.Histograms == nil {
		m.Histograms = map[string]Histogram{}
	}
	h, ok := m.Histograms[name]
	if !ok {
		m.Histograms[name] = o
		return
	}
	m.Histograms[name] = Histogram{Count: h.Count + o.Count, Sum: h.Sum + o.Sum, Min: min(h.Min, o.Min), Max: max(h.Max, o.Max)}
}

// newEnvironment seeds the random bytes with the plugin's digest.
func newEnvironment(digest [32]byte, logger *slog.Logger) *environment {
	return &environment{logger: logger, random: rand.NewChaCha8(digest)}
}

// begin prepares for a call.
func (e *environment) begin(logBytes int64) {
	e.logLeft, e.cut, e.exited, e.message = logBytes, false, false, ""
	e.stderr.reset()
	e.metrics = Metrics{}
}

// hostCallUnits is what a call of the host costs the guest, in checks, and
// hostBytesPerUnit how many bytes it may pass for one more. Without it a guest
// could make the host work without end on its budget.
const (
	hostCallUnits    = 128
	hostBytesPerUnit = 16
)

// charge takes the price of a host call from the budget of the running call,
// and traps when it is spent.
func (e *environment) charge(bytes uint64) {
	left := e.budget.Get() - hostCallUnits - bytes/hostBytesPerUnit
	e.budget.Set(left)
	if int64(left) < 0 {
		panic(spent{})
	}
}

type spent struct{}

func (spent) Error() string { return "the budget is spent" }

type environmentKey struct{}

func withEnvironment(ctx context.Context, e *environment) context.Context {
	return context.WithValue(ctx, environmentKey{}, e)
}

func environmentOf(ctx context.Context) *environment {
	return ctx.Value(environmentKey{}).(*environment)
}

// bytesOf is the whole memory of the calling instance.
func bytesOf(m api.Module) []byte {
	b, _ := m.Memory().Read(0, m.Memory().Size())
	return b
}

// text reads an argument, or traps.
func text(m api.Module, address, n uint64, most int) string {
	s, ok := cdata.Text(bytesOf(m), uint32(address), uint32(n), most)
	if !ok {
		panic(badPointer{})
	}
	return s
}

// badPointer is a panic of a host function that the guest called with a pointer
// outside its memory: a trap.
type badPointer struct{}

func (badPointer) Error() string { return "an import was called with a pointer outside memory" }

var slogLevels = map[uint32]slog.Level{
	abi.LevelDebug: slog.LevelDebug, abi.LevelInfo: slog.LevelInfo, abi.LevelWarn: slog.LevelWarn, abi.LevelError: slog.LevelError,
}

func (e *environment) log(m api.Module, stack []uint64) {
	level, ok := slogLevels[uint32(stack[0])]
	if !ok {
		level = slog.LevelError
	}
	e.write(level, text(m, stack[1], stack[2], abi.MaxMessageBytes))
}

// write logs a line as far as the call may still log.
func (e *environment) write(level slog.Level, line string) {
	if e.cut || !e.logger.Enabled(context.Background(), level) {
		return
	}
	n := int64(len(line)) + 1
	if e.logLeft -= n; e.logLeft < 0 {
		e.cut = true
		e.logger.Warn("plugin logs too much, the rest of this call is dropped")
		return
	}
	if e.epoch != nil {
		if left := e.epoch.Add(-n); left < 0 {
			e.cut = true
			if left+n >= 0 { // the one that crossed the bound
				e.logger.Warn("plugin logs too much, the rest of this epoch is dropped")
			}
			return
		}
	}
	e.logger.Log(context.Background(), level, "plugin", keyText, line)
}

// keyText is the log attribute that holds what a plugin wrote.
const keyText = "text"

func (e *environment) logLevel(_ api.Module, stack []uint64) {
	for _, level := range []uint32{abi.LevelDebug, abi.LevelInfo, abi.LevelWarn} {
		if e.logger.Enabled(context.Background(), slogLevels[level]) {
			stack[0] = uint64(level)
			return
		}
	}
	stack[0] = abi.LevelError
}

func (e *environment) counterAdd(m api.Module, stack []uint64) {
	e.metrics.count(text(m, stack[0], stack[1], abi.MaxNameBytes), int64(stack[2]))
}

func (e *environment) histogram(m api.Module, stack []uint64) {
	v := api.DecodeF64(stack[2])
	e.metrics.observe(text(m, stack[0], stack[1], abi.MaxNameBytes), Histogram{Count: 1, Sum: v, Min: v, Max: v})
}

// abort is AssemblyScript's: its arguments point at UTF-16 strings with their
// length in bytes before them.
func (e *environment) abort(m api.Module, stack []uint64) {
	e.message = utf16At(bytesOf(m), uint32(stack[0]))
	panic(aborted{})
}

type aborted struct{}

func (aborted) Error() string { return "abort" }

func utf16At(memory []byte, address uint32) string {
	if address < 4 || int64(address) > int64(len(memory)) {
		return ""
	}
	n := min(int64(le32(memory[address-4:])), 2*abi.MaxMessageBytes, int64(len(memory))-int64(address))
	var b strings.Builder
	for i := int64(0); i+1 < n; i += 2 {
		b.WriteRune(rune(memory[int64(address)+i]) | rune(memory[int64(address)+i+1])<<8)
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// tail keeps the last bytes that were written to it.
type tail struct{ bytes []byte }

const tailBytes = 2048

func (t *tail) reset() { t.bytes = t.bytes[:0] }

func (t *tail) write(b []byte) {
	if t.bytes = append(t.bytes, b...); len(t.bytes) > 2*tailBytes {
		t.bytes = append(t.bytes[:0], t.bytes[len(t.bytes)-tailBytes:]...)
	}
}

func (t *tail) String() string {
	b := t.bytes
	if len(b) > tailBytes {
		b = b[len(b)-tailBytes:]
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(b), "\uFFFD"))
}
