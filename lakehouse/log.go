package lakehouse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record"
)

// Log is a pipeline's epoch log: one create-only object an epoch, numbered from
// 1 without reuse. The number is the fence: of two writers that append n only
// one can succeed (invariant 3).
type Log struct {
	store  storage.Store
	dir    string // <warehouse>/_calve/<pipeline>
	nonce  string
	logger *slog.Logger
	pause  func(ctx context.Context, attempt int) error
}

// NewLog opens the log of a pipeline for the writer with that nonce.
func NewLog(store storage.Store, pipeline, nonce string, logger *slog.Logger) *Log {
	return &Log{
		store:  store,
		dir:    store.Root() + "/_calve/" + pipeline,
		nonce:  nonce,
		logger: logger,
		pause:  backoff,
	}
}

// Floor is where the log begins: records up to Number are pruned, and their
// outcome is here.
type Floor struct {
	Number    int64          `json:"number"`
	Positions []Reader       `json:"positions"`
	State     *StateManifest `json:"state,omitempty"`
	// Watermarks and Keyed are those of the record.
	Watermarks map[string]record.Watermark `json:"watermarks,omitempty"`
	Keyed      []KeyedModel                `json:"keyed,omitempty"`
	Tables     []TableState                `json:"tables"`
	// Requests are those that were carried out and whose objects may still be
	// there, or come up late: they must not be carried out again.
	Requests []DoneRequest `json:"requests,omitempty"`
	// Plugins are those of the epoch, as in its record: a start compares them
	// with what references mean then.
	Plugins map[string]string `json:"plugins,omitempty"`
	// Writer, Host and DecidedAt are those of the record, for people; zero if the
	// floor was made without one.
	Writer    string `json:"writer,omitempty"`
	Host      string `json:"host,omitempty"`
	DecidedAt int64  `json:"decided_at,omitempty"`
}

// Tail is the log from its floor on.
type Tail struct {
	Floor  Floor // zero if nothing was ever pruned
	Epochs []*Epoch
}

// Last is the number of the newest record, or the floor's.
func (t Tail) Last() int64 {
	if n := len(t.Epochs); n > 0 {
		return t.Epochs[n-1].Number
	}
	return t.Floor.Number
}

// ErrFenced: another writer has decided this epoch. What this writer holds is
// stale; it must stop and delete nothing.
var ErrFenced = errors.New("another writer has taken over this pipeline")

// ErrUndecided: it is not known whether an epoch record was written. The next
// start reads the log and finds out; until then nothing may be deleted.
var ErrUndecided = errors.New("it is unknown whether the epoch was recorded")

// ErrHole: a record between the floor and the newest one is missing.
var ErrHole = errors.New("the epoch log has a hole")

// Read returns the records above the floor, in order. It fails with ErrHole,
// ErrCorrupt or ErrVersion.
func (l *Log) Read(ctx context.Context) (Tail, error) {
	for {
		floor, err := l.floor(ctx)
		if err != nil {
			return Tail{}, err
		}
		numbers, err := l.numbers(ctx, "epochs/")
		if err != nil {
			return Tail{}, err
		}
		tail, err := l.readAbove(ctx, floor, numbers)
		// The floor is read again after the tail (†): a writer that prunes
		// meanwhile would show as a hole that is none.
		again, floorErr := l.floor(ctx)
		if floorErr != nil {
			return Tail{}, floorErr
		}
		if again.Number == floor.Number || !rule("floor-after-tail") {
			return tail, err
		}
	}
}

func (l *Log) readAbove(ctx context.Context, floor Floor, numbers []int64) (Tail, error) {
	tail := Tail{Floor: floor}
	next := floor.Number + 1
	for _, n := range numbers {
		if n <= floor.Number {
			continue
		}
		if n != next {
			return Tail{}, fmt.Errorf("%w: record %d of %s is missing, record %d exists; restore the object, or run calve recover", ErrHole, next, l.dir, n)
		}
		e, err := l.record(ctx, n)
		if err != nil {
			return Tail{}, err
		}
		tail.Epochs = append(tail.Epochs, e)
		next++
	}
	return tail, nil
}

// Append writes record e.Number. When it returns nil the epoch is decided, by
// this writer. ErrFenced means that another writer decided that number;
// ErrUndecided that ctx ended before the outcome was known.
//
// A PUT without a definite answer is repeated with identical bytes until the
// object exists, and the nonce in it tells whose it is (invariant 5).
func (l *Log) Append(ctx context.Context, e *Epoch) error {
	body, err := e.Encode()
	if err != nil {
		return err
	}
	location := l.location("epochs", e.Number)
	sent := false // an attempt may have reached the store
	for attempt := 0; ; attempt++ {
		err := l.store.Put(ctx, location, body)
		switch {
		case err == nil:
			return l.confirm(ctx, e.Number)
		case errors.Is(err, storage.ErrExists):
			return l.compare(ctx, e.Number, body)
		case definite(err) && !sent:
			return fmt.Errorf("write epoch record %s: %w", location, err)
		}
		if !rule("repeat-unknown") {
			return l.confirm(ctx, e.Number)
		}
		sent = true
		l.logger.Warn("epoch record not confirmed, repeating it", "epoch", e.Number, "attempt", attempt+1, "error", err)
		if pauseErr := l.pause(ctx, attempt); pauseErr != nil {
			return fmt.Errorf("write epoch record %s: %w: %w", location, ErrUndecided, err)
		}
	}
}

// definite tells whether a failed write certainly did not happen.
func definite(err error) bool {
	return errors.Is(err, storage.ErrPermission) || errors.Is(err, storage.ErrNoSpace) || errors.Is(err, storage.ErrOutside)
}

// compare decides whose record n is, after a PUT found it there.
func (l *Log) compare(ctx context.Context, n int64, ours []byte) error {
	for attempt := 0; ; attempt++ {
		theirs, err := l.store.Get(ctx, l.location("epochs", n))
		if err == nil {
			if bytes.Equal(ours, theirs) || !rule("fence") {
				return l.confirm(ctx, n)
			}
			return l.fenced(n, theirs)
		}
		if pauseErr := l.pause(ctx, attempt); pauseErr != nil {
			return fmt.Errorf("read epoch record %d: %w: %w", n, ErrUndecided, err)
		}
	}
}

// overtaken is the error of a writer whose successor is at epoch n already.
func (l *Log) overtaken(ctx context.Context, n int64) error {
	theirs, err := l.store.Get(ctx, l.location("epochs", n))
	if err != nil { // pruned, perhaps: what it says is only for the message
		return fmt.Errorf("%w: the tables are at epoch %d already", ErrFenced, n)
	}
	return l.fenced(n, theirs)
}

func (l *Log) fenced(n int64, theirs []byte) error {
	other, err := DecodeEpoch(theirs)
	if err != nil {
		return fmt.Errorf("%w: record %d exists and cannot be read: %w", ErrFenced, n, err)
	}
	return fmt.Errorf("%w: epoch %d was decided by writer %s on %s at %s; stop this one, or the other",
		ErrFenced, n, other.Writer, other.Host, time.UnixMicro(other.DecidedAt).UTC().Format(time.RFC3339))
}

// confirm reads the floor after record n was written (†): a writer that slept
// through its successor's pruning would otherwise re-create a pruned number.
func (l *Log) confirm(ctx context.Context, n int64) error {
	for attempt := 0; ; attempt++ {
		floor, err := l.floor(ctx)
		if err == nil {
			if floor.Number >= n && rule("floor-after-put") {
				return fmt.Errorf("%w: the log is pruned up to %d, beyond epoch %d", ErrFenced, floor.Number, n)
			}
			return nil
		}
		if pauseErr := l.pause(ctx, attempt); pauseErr != nil {
			return fmt.Errorf("read floor after epoch %d: %w: %w", n, ErrUndecided, err)
		}
	}
}

// floor reads the highest floor, or the zero Floor.
func (l *Log) floor(ctx context.Context) (Floor, error) {
	numbers, err := l.numbers(ctx, "floor/")
	if err != nil || len(numbers) == 0 {
		return Floor{}, err
	}
	n := numbers[len(numbers)-1]
	body, err := l.store.Get(ctx, l.location("floor", n))
	if errors.Is(err, storage.ErrNotExist) {
		return l.floor(ctx) // a higher one has just replaced it
	}
	if err != nil {
		return Floor{}, fmt.Errorf("read floor %d: %w", n, err)
	}
	var floor Floor
	if err := json.Unmarshal(body, &floor); err != nil {
		return Floor{}, fmt.Errorf("read floor %d: %w: %w", n, ErrCorrupt, err)
	}
	return floor, nil
}

func (l *Log) record(ctx context.Context, n int64) (*Epoch, error) {
	location := l.location("epochs", n)
	body, err := l.store.Get(ctx, location)
	if err != nil {
		return nil, fmt.Errorf("read epoch record %s: %w", location, err)
	}
	e, err := DecodeEpoch(body)
	if err != nil {
		return nil, fmt.Errorf("read epoch record %s: %w", location, err)
	}
	if e.Number != n {
		return nil, fmt.Errorf("read epoch record %s: %w: it says that it is number %d", location, ErrCorrupt, e.Number)
	}
	return e, nil
}

// numbers lists the object numbers below a folder of the log, ascending.
func (l *Log) numbers(ctx context.Context, folder string) ([]int64, error) {
	var numbers []int64
	prefix := l.dir + "/" + folder
	for object, err := range l.store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		name := strings.TrimPrefix(object.Location, prefix)
		n, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w: unexpected object %q", prefix, ErrCorrupt, path.Base(name))
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// location of a numbered object: 20 digits, so that names sort as numbers do.
func (l *Log) location(folder string, n int64) string {
	return fmt.Sprintf("%s/%s/%020d", l.dir, folder, n)
}

// backoff waits 50 ms, doubling to 5 s, or until ctx ends.
func backoff(ctx context.Context, attempt int) error {
	wait := min(50*time.Millisecond<<min(attempt, 10), 5*time.Second)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Prune raises the floor to a committed epoch and removes the records up to
// it. The floor is written first: a reader that finds a record missing reads
// the floor again and learns why. done are the requests that the floor keeps.
func (l *Log) Prune(ctx context.Context, e *Epoch, done ...DoneRequest) error {
	floor := Floor{Number: e.Number, Positions: positionsAfter(e.Readers), State: e.State, Watermarks: e.Watermarks, Keyed: e.Keyed, Tables: e.Tables, Requests: done, Plugins: e.Plugins, Writer: e.Writer, Host: e.Host, DecidedAt: e.DecidedAt}
	body, err := json.Marshal(floor)
	if err != nil {
		return fmt.Errorf("encode floor %d: %w", e.Number, err)
	}
	if err := l.store.Put(ctx, l.location("floor", e.Number), body); err != nil && !errors.Is(err, storage.ErrExists) {
		return fmt.Errorf("write floor %d: %w", e.Number, err)
	}
	return errors.Join(l.removeUpTo(ctx, "epochs", e.Number), l.removeUpTo(ctx, "floor", e.Number-1))
}

func (l *Log) removeUpTo(ctx context.Context, folder string, last int64) error {
	numbers, err := l.numbers(ctx, folder+"/")
	if err != nil {
		return err
	}
	var locations []string
	for _, n := range numbers {
		if n <= last {
			locations = append(locations, l.location(folder, n))
		}
	}
	if err := l.store.Delete(ctx, locations...); err != nil {
		return fmt.Errorf("remove %d objects of the epoch log: %w", len(locations), err)
	}
	return nil
}

// positionsAfter is where readers go on: empty ranges at the end of those that
// an epoch took.
func positionsAfter(readers []Reader) []Reader {
	after := make([]Reader, len(readers))
	for i, r := range readers {
		after[i] = Reader{Name: r.Name, Models: r.Models, Inputs: r.Inputs, Ranges: make([]Range, len(r.Ranges))}
		for j, g := range r.Ranges {
			g.From, g.Delivered, g.Lost = g.To, 0, nil
			after[i].Ranges[j] = g
		}
	}
	return after
}

// Newest is the number of the newest record, or the floor's: 0 for a log that
// was never written. It costs two listings and reads no record.
func (l *Log) Newest(ctx context.Context) (int64, error) {
	newest := int64(0)
	for _, folder := range []string{"epochs/", "floor/"} {
		numbers, err := l.numbers(ctx, folder)
		if err != nil {
			return 0, err
		}
		if n := len(numbers); n > 0 {
			newest = max(newest, numbers[n-1])
		}
	}
	return newest, nil
}
