package lakehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/calvelake/calve/runtime/record"
)

// LetterList is what the table of dead letters holds, as a command shows it.
type LetterList struct {
	Groups  []LetterGroup  `json:"groups"`            // by model, reason, column
	Letters []ListedLetter `json:"letters,omitempty"` // oldest first
	More    int64          `json:"more,omitempty"`    // letters beyond the limit
}

// LetterGroup counts letters of a model that have the same reason.
type LetterGroup struct {
	Model     string    `json:"model"`
	Reason    string    `json:"reason"`
	Column    string    `json:"column,omitempty"`
	Open      int64     `json:"open"`
	Replayed  int64     `json:"replayed"`
	Filtered  int64     `json:"filtered"`
	Discarded int64     `json:"discarded"`
	First     time.Time `json:"first"` // ingested_at
	Last      time.Time `json:"last"`
}

// ListedLetter is one letter without its record's bytes.
type ListedLetter struct {
	ID         string    `json:"letter_id"`
	State      string    `json:"state"` // open, or the outcome that closed it
	Model      string    `json:"model"`
	Reason     string    `json:"reason"`
	Column     string    `json:"column,omitempty"`
	Message    string    `json:"message"`
	Topic      string    `json:"topic"`
	Partition  int32     `json:"partition"`
	Offset     int64     `json:"offset"`
	Row        *int32    `json:"row,omitempty"` // nil for the whole record
	IngestedAt time.Time `json:"ingested_at"`
}

// StateOpen is the state of a letter that nothing has closed.
const StateOpen = "open"

// ListQuery says what ListLetters shows.
type ListQuery struct {
	Filter LetterFilter
	All    bool // closed letters too
	Limit  int  // letters listed one by one; 0 for none
}

// ListLetters reads the table of dead letters. It holds an id for each letter
// that was ever closed, about 40 bytes.
func (l *Lake) ListLetters(ctx context.Context, q ListQuery) (*LetterList, error) {
	list := &LetterList{Groups: []LetterGroup{}}
	files, err := l.letterFiles(ctx)
	if err != nil || files == nil {
		return list, err
	}
	closed := map[LetterID]Outcome{}
	err = files.each(ctx, letterPlace, func(_ int, r *columnReader) error {
		c, err := placeColumns(r)
		for i := 0; err == nil && i < int(r.batch.NumRows()); i++ {
			outcome := Outcome(c.resolution.Value(i))
			if id, ok := parseLetterID(c.id.Value(i)); ok && !c.isLetter(i) && outcome != Refused {
				closed[id] = Outcome(strings.Clone(string(outcome)))
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	groups := map[LetterGroup]*LetterGroup{}
	err = files.each(ctx, slices.Concat(letterPlace, letterReason), func(_ int, r *columnReader) error {
		c, err := wholeColumns(r, false)
		for i := 0; err == nil && i < int(r.batch.NumRows()); i++ {
			if !c.isLetter(i) || !q.Filter.allows(c.id.Value(i), c.model.Value(i), c.reason.Value(i), *micros(c.ingested, i)) {
				continue
			}
			letter := c.letter(i)
			outcome := closed[letter.ID()]
			if outcome == "" || q.All {
				countLetter(groups, &letter, outcome)
				list.add(&letter, outcome, q.Limit)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		list.Groups = append(list.Groups, *g)
	}
	slices.SortFunc(list.Groups, func(a, b LetterGroup) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Column, b.Column))
	})
	list.cut(q.Limit)
	return list, nil
}

func countLetter(groups map[LetterGroup]*LetterGroup, l *Letter, outcome Outcome) {
	key := LetterGroup{Model: l.Model, Reason: l.Reason, Column: l.Column}
	at := time.UnixMicro(l.IngestedAt).UTC()
	g := groups[key]
	if g == nil {
		g = &LetterGroup{Model: l.Model, Reason: l.Reason, Column: l.Column, First: at, Last: at}
		groups[key] = g
	}
	switch outcome {
	case "":
		g.Open++
	case Replayed:
		g.Replayed++
	case Filtered:
		g.Filtered++
	case Discarded:
		g.Discarded++
	}
	if at.Before(g.First) {
		g.First = at
	}
	if at.After(g.Last) {
		g.Last = at
	}
}

// add lists a letter. The list is cut to its limit now and then, so that it
// stays small.
func (list *LetterList) add(l *Letter, outcome Outcome, limit int) {
	if limit == 0 {
		return
	}
	listed := ListedLetter{
		ID: l.ID().String(), State: cmp.Or(string(outcome), StateOpen), Model: l.Model, Reason: l.Reason, Column: l.Column, Message: l.Message,
		Topic: l.Topic, Partition: l.Partition, Offset: l.Record.Offset, IngestedAt: time.UnixMicro(l.IngestedAt).UTC(),
	}
	if l.OfRow {
		row := l.Row
		listed.Row = &row
	}
	list.Letters = append(list.Letters, listed)
	if len(list.Letters) >= 2*limit+1000 {
		list.cut(limit)
	}
}

func (list *LetterList) cut(limit int) {
	slices.SortFunc(list.Letters, func(a, b ListedLetter) int {
		return cmp.Or(a.IngestedAt.Compare(b.IngestedAt), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition),
			cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Model, b.Model), cmp.Compare(a.ID, b.ID))
	})
	if over := len(list.Letters) - limit; over > 0 {
		list.More += int64(over)
		list.Letters = list.Letters[:limit]
	}
}

// ErrNoSuchLetter: the table of dead letters has no letter of that id.
var ErrNoSuchLetter = errors.New("there is no such dead letter")

// LetterHistory is a letter and what became of it, in order of epochs.
type LetterHistory struct {
	Letter
	Resolutions []Resolution
}

// Letter reads one letter whole, or fails with ErrNoSuchLetter.
func (l *Lake) Letter(ctx context.Context, id string) (*LetterHistory, error) {
	notThere := fmt.Errorf("%w: %s; calve dlq list --letters shows the ids", ErrNoSuchLetter, id)
	files, err := l.letterFiles(ctx)
	if err != nil {
		return nil, err
	}
	if files == nil {
		return nil, notThere
	}
	found := -1
	h := &LetterHistory{}
	err = files.each(ctx, slices.Concat(letterPlace, letterReason), func(file int, r *columnReader) error {
		c, err := wholeColumns(r, false)
		for i := 0; err == nil && i < int(r.batch.NumRows()); i++ {
			switch {
			case c.id.Value(i) != id:
			case c.isLetter(i):
				found = file
			default:
				h.Resolutions = append(h.Resolutions, c.resolved(i))
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if found < 0 {
		return nil, notThere
	}
	columns := slices.Concat(letterPlace, letterReason, letterPayload)
	err = scanFiles(ctx, files.table, files.tasks[found:found+1], columns, func(r *columnReader) error {
		c, err := wholeColumns(r, true)
		for i := 0; err == nil && i < int(r.batch.NumRows()); i++ {
			if c.id.Value(i) == id && c.isLetter(i) {
				h.Letter = c.letter(i)
			}
		}
		return err
	})
	slices.SortFunc(h.Resolutions, func(a, b Resolution) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Request, b.Request))
	})
	return h, err
}

// resolved reads row i as what became of a letter.
func (c *letterColumns) resolved(i int) Resolution {
	l := c.letter(i)
	r := Resolution{
		Letter: l, Epoch: l.Epoch, Request: strings.Clone(c.request.Value(i)),
		Outcome: Outcome(strings.Clone(c.resolution.Value(i))), PluginDigest: l.PluginDigest,
	}
	if r.Outcome == Refused {
		r.Refusal = &record.Reject{OfRow: l.OfRow, Row: l.Row, Code: l.Reason, Message: l.Message, Column: l.Column}
	}
	return r
}
