package lakehouse

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/apache/iceberg-go/table"
)

// LetterQuery asks for the letters that a request has still to carry out.
type LetterQuery struct {
	Request string
	Filter  LetterFilter
	Before  int64    // the epoch that takes the request: letters of earlier ones count
	Models  []string // whose letters are wanted; nil for all
}

// OpenLetters are the letters that a request has still to carry out, as one
// snapshot shows them. It holds an id and a file for each, about 100 bytes; the
// records' bytes are read when they are needed.
//
// The table is the cursor: every letter that a request took has a resolution
// that names the request, so what is left can be computed again at any time,
// by any process.
type OpenLetters struct {
	files    *letterFiles
	open     map[LetterID]openLetter
	left     []int // open letters by file
	withRows map[LetterID]bool
	first    int64 // the first epoch that carried the request out before, 0 if none
	done     RequestResult
}

type openLetter struct {
	file  int32
	epoch int64
}

// OpenLetters computes what a request has still to do.
func (l *Lake) OpenLetters(ctx context.Context, q LetterQuery) (*OpenLetters, error) {
	o := &OpenLetters{open: map[LetterID]openLetter{}, withRows: map[LetterID]bool{}}
	var err error
	if o.files, err = l.letterFiles(ctx); err != nil || o.files == nil {
		return o, err
	}
	// Letters first, then what became of them: memory is for the letters that
	// the filter allows, not for all that were ever resolved.
	if err := o.collect(ctx, q); err != nil {
		return nil, err
	}
	if err := o.subtract(ctx, q.Request); err != nil {
		return nil, err
	}
	o.left = make([]int, len(o.files.tasks))
	for id, letter := range o.open {
		if o.first != 0 && letter.epoch >= o.first { // newer than the request
			delete(o.open, id)
			continue
		}
		o.left[letter.file]++
	}
	return o, nil
}

// collect finds the letters that the filter allows.
func (o *OpenLetters) collect(ctx context.Context, q LetterQuery) error {
	columns := append([]string{"reason_code", "ingested_at"}, letterPlace...)
	missing := map[LetterID]bool{}
	err := o.files.each(ctx, columns, func(file int, r *columnReader) error {
		c, err := placeColumns(r)
		reason, ingested := r.strings("reason_code"), r.times("ingested_at")
		if err = cmp.Or(err, r.err); err != nil {
			return err
		}
		for i := range int(r.batch.NumRows()) {
			if !c.isLetter(i) || c.epoch.Value(i) >= q.Before || !q.Filter.allows(c.id.Value(i), c.model.Value(i), reason.Value(i), *micros(ingested, i)) {
				continue
			}
			l := c.place(i)
			id, ok := parseLetterID(c.id.Value(i))
			switch {
			case !ok || id != l.ID(): // not a row of ours; verify tells of it
			case q.Models != nil && !slices.Contains(q.Models, c.model.Value(i)):
				missing[id] = true
			default:
				o.open[id] = openLetter{file: int32(file), epoch: c.epoch.Value(i)}
				if l.OfRow {
					o.withRows[l.recordID()] = false
				}
			}
		}
		return nil
	})
	o.done.NoModel = int64(len(missing))
	return err
}

// subtract takes away what is resolved, or was carried out by this request
// before; and notes which records have had a row of theirs replayed.
func (o *OpenLetters) subtract(ctx context.Context, request string) error {
	return o.files.each(ctx, letterPlace, func(_ int, r *columnReader) error {
		c, err := placeColumns(r)
		if err != nil {
			return err
		}
		for i := range int(r.batch.NumRows()) {
			if c.isLetter(i) {
				continue
			}
			outcome := Outcome(c.resolution.Value(i))
			taken := c.request.Value(i) == request
			if id, ok := parseLetterID(c.id.Value(i)); ok && (taken || outcome != Refused) {
				delete(o.open, id)
			}
			if taken {
				o.done.Add(outcome)
				if epoch := c.epoch.Value(i); o.first == 0 || epoch < o.first {
					o.first = epoch
				}
			}
			if outcome == Replayed && c.row.IsValid(i) && len(o.withRows) > 0 {
				l := c.place(i)
				if _, asked := o.withRows[l.recordID()]; asked {
					o.withRows[l.recordID()] = true
				}
			}
		}
		return nil
	})
}

// Has tells whether a letter is among those that are left.
func (o *OpenLetters) Has(id LetterID) bool {
	_, ok := o.open[id]
	return ok
}

// Len is how many letters are left.
func (o *OpenLetters) Len() int { return len(o.open) }

// Done is what earlier epochs made of the request's other letters.
func (o *OpenLetters) Done() RequestResult { return o.done }

// HasRows tells whether the record of a letter of a row has rows in the
// model's table.
func (o *OpenLetters) HasRows(l *Letter) bool { return l.RecordRows > 0 || o.withRows[l.recordID()] }

// GotRows notes that it has from now on.
func (o *OpenLetters) GotRows(l *Letter) { o.withRows[l.recordID()] = true }

// ChunkLimit bounds what is read at once.
type ChunkLimit struct {
	Letters int
	Bytes   int64 // of keys and values
	Payload bool  // read the records' bytes
}

const (
	// groupFiles and groupBytes bound the files that are read side by side: many
	// small ones at once, a large one alone.
	groupFiles = 16
	groupBytes = 16 << 20
)

// errEnough ends a scan that has delivered what it was asked for.
var errEnough = errors.New("enough letters were read")

// Read reads the letters that are left, in chunks: by model, TopicPartition,
// offset and row. A chunk that take returns nil for is taken and does not come
// again; more tells whether another is wanted.
func (o *OpenLetters) Read(ctx context.Context, limit ChunkLimit, take func([]Letter) (more bool, err error)) error {
	for len(o.open) > 0 {
		group := o.nextFiles()
		if len(group) == 0 {
			return errors.New("BUG: open letters are in no file")
		}
		before := len(o.open)
		more, err := o.readGroup(ctx, group, limit, take)
		if err != nil || !more {
			return err
		}
		if len(o.open) == before {
			return errors.New("read dead letters: rows that were there are not any more; the table's files were changed")
		}
	}
	return nil
}

// nextFiles are the next files that hold open letters.
func (o *OpenLetters) nextFiles() (group []table.FileScanTask) {
	bytes := int64(0)
	for i, n := range o.left {
		if n == 0 {
			continue
		}
		size := o.files.tasks[i].File.FileSizeBytes()
		if len(group) == groupFiles || len(group) > 0 && bytes+size > groupBytes {
			break
		}
		group, bytes = append(group, o.files.tasks[i]), bytes+size
	}
	return group
}

func (o *OpenLetters) readGroup(ctx context.Context, group []table.FileScanTask, limit ChunkLimit, take func([]Letter) (bool, error)) (more bool, err error) {
	columns := slices.Concat(letterPlace, letterReason)
	if limit.Payload {
		columns = append(columns, letterPayload...)
	}
	chunk := chunk{open: o, limit: limit, take: take, seen: map[LetterID]bool{}}
	err = scanFiles(ctx, o.files.table, group, columns, func(r *columnReader) error {
		c, err := wholeColumns(r, limit.Payload)
		if err != nil {
			return err
		}
		for i := range int(r.batch.NumRows()) {
			if !c.isLetter(i) {
				continue
			}
			id, ok := parseLetterID(c.id.Value(i))
			if _, wanted := o.open[id]; !ok || !wanted || chunk.seen[id] {
				continue
			}
			if err := chunk.add(id, c.letter(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = chunk.flush()
	}
	if errors.Is(err, errEnough) {
		return false, nil
	}
	return err == nil, err
}

// chunk collects letters until it is full.
type chunk struct {
	open    *OpenLetters
	limit   ChunkLimit
	take    func([]Letter) (bool, error)
	letters []Letter
	bytes   int64
	seen    map[LetterID]bool
}

func (c *chunk) add(id LetterID, l Letter) error {
	c.seen[id] = true
	c.letters = append(c.letters, l)
	c.bytes += int64(len(l.Record.Key) + len(l.Record.Value))
	if len(c.letters) < c.limit.Letters && c.bytes < c.limit.Bytes {
		return nil
	}
	return c.flush()
}

// flush hands the letters over.
func (c *chunk) flush() error {
	if len(c.letters) == 0 {
		return nil
	}
	slices.SortFunc(c.letters, func(a, b Letter) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.ClusterID, b.ClusterID), cmp.Compare(a.TopicID, b.TopicID),
			a.TopicPartition.Compare(b.TopicPartition), cmp.Compare(a.Record.Offset, b.Record.Offset), cmp.Compare(a.Row, b.Row))
	})
	more, err := c.take(c.letters)
	if err != nil {
		return err
	}
	for i := range c.letters {
		c.open.taken(c.letters[i].ID())
	}
	c.letters, c.bytes, c.seen = nil, 0, map[LetterID]bool{}
	if !more {
		return errEnough
	}
	return nil
}

func (o *OpenLetters) taken(id LetterID) {
	o.left[o.open[id].file]--
	delete(o.open, id)
}
