// Package marketplace is the generator of the watches of the example
// marketplace: it makes them up. The same bytes come out each time and on every
// machine. Livestreams and categories are a recording beside it, in data/.
//
// For two weeks people watch livestreams for some minutes, found in a category
// of the app or by a link. A watch is told when it ends, so those that began
// earlier may come later.
package marketplace

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	watches = 3000
	viewers = 150
	// unknown is a livestream that the recording does not have: a pilot that was
	// taken out before it began.
	unknown    = 99
	timeLayout = "2006-01-02T15:04:05Z"
)

var (
	opens  = time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	closes = time.Date(2026, 4, 14, 22, 0, 0, 0, time.UTC)
)

// livestream is one of the recording, as far as it is watched.
type livestream struct {
	id          int
	categories  []int // where it is found
	from, until time.Time
}

var livestreams = []livestream{
	{id: 1, categories: []int{1}}, {id: 2, categories: []int{2}}, {id: 3, categories: []int{3, 5}},
	{id: 4, categories: []int{2, 6}}, {id: 5, categories: []int{4}}, {id: 6, categories: []int{5}},
	{id: 7, categories: []int{2, 3}}, {id: 8, categories: []int{7}},
	{id: 9, categories: []int{8}, until: time.Date(2026, 4, 12, 17, 0, 0, 0, time.UTC)},
	{id: 10, categories: []int{1, 4}},
	{id: 11, categories: []int{1, 4}, from: time.Date(2026, 4, 3, 9, 0, 0, 0, time.UTC)},
	{id: 12, categories: []int{9}, from: time.Date(2026, 4, 13, 9, 0, 0, 0, time.UTC)},
	{id: unknown, categories: []int{1}, until: time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC)},
}

// watch is one with the time when it is told.
type watch struct {
	id, viewer, livestream int
	foundIn                int // 0 for a link
	startedAt              time.Time
	seconds                int
}

func (w watch) endedAt() time.Time { return w.startedAt.Add(time.Duration(w.seconds) * time.Second) }

// Watches writes the watches, one a line, in the order in which they are told.
func Watches(w io.Writer) error {
	chances := rand.New(rand.NewPCG(7, 2026))
	all := make([]watch, watches)
	for i := range all {
		all[i] = newWatch(i+1, chances)
	}
	slices.SortFunc(all, func(a, b watch) int { return cmp.Or(a.endedAt().Compare(b.endedAt()), cmp.Compare(a.id, b.id)) })
	out := bufio.NewWriter(w)
	for _, one := range all {
		foundIn := "null"
		if one.foundIn > 0 {
			foundIn = fmt.Sprint(one.foundIn)
		}
		// A buffered writer keeps its error for Flush.
		_, _ = fmt.Fprintf(out, `{"watch_id":%d,"viewer":"v%03d","livestream_id":%d,"found_in":%s,"started_at":"%s","seconds":%d}`+"\n",
			one.id, one.viewer, one.livestream, foundIn, one.startedAt.Format(timeLayout), one.seconds)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write watches: %w", err)
	}
	return nil
}

func newWatch(id int, chances *rand.Rand) watch {
	for {
		at := opens.Add(time.Duration(chances.Int64N(int64(closes.Sub(opens)/time.Second))) * time.Second)
		of := livestreams[chances.IntN(len(livestreams))]
		if at.Before(of.from) || !of.until.IsZero() && at.After(of.until) {
			continue
		}
		w := watch{id: id, viewer: 1 + chances.IntN(viewers), livestream: of.id, startedAt: at, seconds: 20 + chances.IntN(60)*chances.IntN(60)}
		if chances.IntN(5) > 0 {
			w.foundIn = of.categories[chances.IntN(len(of.categories))]
		}
		return w
	}
}
