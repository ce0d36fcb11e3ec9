// Package athlete is the generator of the example athlete: it makes its data
// up. Nobody was filmed, and no heart was measured. The same bytes come out each
// time and on every machine, for it counts in whole numbers and takes its
// chances from a fixed seed.
//
// A day in a gym: cameras tell ten times a second how somebody stands, one
// record a frame, and send their frames in pieces of 30 seconds. A piece comes
// when it is complete and the network has carried it, so the pieces of several
// cameras are mixed and not always in order. Some athletes wear a strap that
// reads their heart every five seconds, while they train and for some minutes
// before and after.
//
// What comes late is written apart: a piece that a camera could not send, and
// the readings of a strap that is read out in the evening.
package athlete

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
	frameRate   = 10 // frames a second
	pieceFrames = 30 * frameRate
	readEvery   = 5 * time.Second
	aside       = 5 * time.Minute // that a strap reads before and after a session
	lateStrap   = "ath-3"         // is read out in the evening
	timeLayout  = "2006-01-02T15:04:05.000Z"
)

// training is one session as it was planned.
type training struct {
	athlete string
	id      string // counts the athlete's sessions of the day
	at      string // hour and minute when it begins
	seconds int
	strap   bool
	lost    int // the piece that comes late, from 1; 0 for none
}

var day = []training{
	{athlete: "ath-1", id: "1", at: "06:30", seconds: 240, strap: true},
	{athlete: "ath-2", id: "1", at: "06:31", seconds: 185},
	{athlete: "ath-3", id: "1", at: "06:33", seconds: 200, strap: true},
	{athlete: "ath-4", id: "1", at: "08:05", seconds: 310, strap: true, lost: 4},
	{athlete: "ath-5", id: "1", at: "08:06", seconds: 95},
	{athlete: "ath-1", id: "2", at: "12:00", seconds: 150, strap: true},
	{athlete: "ath-6", id: "1", at: "12:01", seconds: 275, strap: true},
	{athlete: "ath-2", id: "2", at: "12:02", seconds: 210},
	{athlete: "ath-4", id: "2", at: "17:30", seconds: 180, strap: true},
	{athlete: "ath-3", id: "2", at: "17:31", seconds: 330, strap: true},
	{athlete: "ath-5", id: "2", at: "17:32", seconds: 120},
	{athlete: "ath-6", id: "2", at: "18:10", seconds: 160, strap: true},
}

var exercises = []string{"squat", "lunge", "deadlift"}

func (t training) start() time.Time {
	start, err := time.Parse("2006-01-02 15:04", "2025-03-03 "+t.at)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return start
}

// chances of one session, which do not depend on those of others.
func (t training) chances(of uint64) *rand.Rand {
	return rand.New(rand.NewPCG(of, uint64(t.start().Unix())))
}

// piece is frames [from, to) of a session, sent together.
type piece struct {
	training
	from, to int
	arrives  time.Time
	late     bool
}

// pieces of the whole day, in the order in which they arrive.
func pieces() []piece {
	var all []piece
	for _, t := range day {
		chances := t.chances(1)
		for from := 0; from < t.seconds*frameRate; from += pieceFrames {
			p := piece{training: t, from: from, to: min(from+pieceFrames, t.seconds*frameRate)}
			delay := time.Duration(1+chances.IntN(15)) * time.Second
			if chances.IntN(8) == 0 {
				delay += 45 * time.Second // behind the next one
			}
			p.arrives = t.frameTime(p.to).Add(delay)
			p.late = from/pieceFrames+1 == t.lost
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b piece) int {
		return cmp.Or(a.arrives.Compare(b.arrives), cmp.Compare(a.athlete, b.athlete))
	})
	return all
}

func (t training) frameTime(frame int) time.Time {
	return t.start().Add(time.Duration(frame) * time.Second / frameRate)
}

// Poses writes the frames, one a line, in the order in which they arrive.
func Poses(w io.Writer) error { return writePieces(w, false) }

// LatePoses writes the frames of the piece that comes late.
func LatePoses(w io.Writer) error { return writePieces(w, true) }

func writePieces(w io.Writer, late bool) error {
	out := bufio.NewWriter(w)
	for _, p := range pieces() {
		if p.late == late {
			p.write(out)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write frames: %w", err)
	}
	return nil
}

// write writes the frames of a piece. A repetition goes down and up again in
// some three seconds; it is counted where the knee is bent most.
func (p piece) write(w *bufio.Writer) {
	period := 26 + p.chances(2).IntN(10) // frames
	for i := p.from; i < p.to; i++ {
		bent := i % period
		deepest := 650 + (i/period*37+period*11)%350 // tenths of a degree
		knee := deepest + (1720-deepest)*abs(2*bent-period)/period
		confidence := 99 - i*7919%23
		if i*31%211 == 0 {
			confidence = 20 + i%25 // somebody walks by
		}
		// A buffered writer keeps its error for Flush.
		_, _ = fmt.Fprintf(w, `{"athlete_id":"%s","session_id":"%s","frame":%d,"captured_at":"%s","exercise":"%s","repetition":%d,"confidence":0.%02d,"joints":{"knee":{"angle":%d.%d},"hip":{"height":%d}}}`+"\n",
			p.athlete, p.id, i, p.frameTime(i).Format(timeLayout), exercises[i/(90*frameRate)%len(exercises)],
			(i+(period+1)/2)/period, confidence, knee/10, knee%10, 40+knee/30)
	}
}

// reading is what a strap tells.
type reading struct {
	athlete string
	at      time.Time
	rate    int // beats a minute
}

// Biometrics writes the readings that come while they are made, one a line.
func Biometrics(w io.Writer) error {
	return writeReadings(w, func(t training) bool { return t.athlete != lateStrap })
}

// LateBiometrics writes the readings of the strap that is read out in the
// evening.
func LateBiometrics(w io.Writer) error {
	return writeReadings(w, func(t training) bool { return t.athlete == lateStrap })
}

func writeReadings(w io.Writer, of func(training) bool) error {
	var all []reading
	for _, t := range day {
		if t.strap && of(t) {
			all = append(all, t.readings()...)
		}
	}
	slices.SortStableFunc(all, func(a, b reading) int { return a.at.Compare(b.at) })
	out := bufio.NewWriter(w)
	for _, r := range all {
		_, _ = fmt.Fprintf(out, `{"athlete_id":"%s","read_at":"%s","heart_rate":%d}`+"\n", r.athlete, r.at.Format(timeLayout), r.rate)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write readings: %w", err)
	}
	return nil
}

// readings of a strap: the heart follows the effort, and falls back after it.
// Now and then the strap slips, and reads 0.
func (t training) readings() []reading {
	chances := t.chances(3)
	end := t.start().Add(time.Duration(t.seconds) * time.Second)
	rate := 68 + chances.IntN(10)
	rest, most := rate, 150+chances.IntN(25)
	var all []reading
	// Straps and cameras are not in step.
	for at := t.start().Add(-aside + 1300*time.Millisecond); at.Before(end.Add(aside)); at = at.Add(readEvery) {
		if at.Before(t.start()) || at.After(end) {
			rate -= (rate - rest) / 8
		} else {
			rate += (most - rate + 5) / 6
		}
		r := reading{athlete: t.athlete, at: at, rate: rate + chances.IntN(5) - 2}
		if chances.IntN(90) == 0 {
			r.rate = 0
		}
		all = append(all, r)
	}
	return all
}

func abs(n int) int { return max(n, -n) }
