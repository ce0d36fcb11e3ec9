package marketplace

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"
)

// told is what the test reads of a watch.
type told struct {
	ID         int       `json:"watch_id"`
	Livestream int       `json:"livestream_id"`
	StartedAt  time.Time `json:"started_at"`
	Seconds    int       `json:"seconds"`
}

func TestTheSameBytesComeOutEverywhere(t *testing.T) {
	text := generated(t)
	sum := sha256.Sum256(text)
	const want = "f68f655747b65558477f6253f77c51019271f4168b6e5a76ecc03cc4ec646a20"
	if got, lines := hex.EncodeToString(sum[:]), bytes.Count(text, []byte("\n")); got != want || lines != watches {
		t.Errorf("got %d lines of digest %s, want %d of %s", lines, got, watches, want)
	}
}

func TestWatchesAreToldOnceAndWhenTheyEnd(t *testing.T) {
	const allowed = 2 * time.Hour // max_out_of_orderness of stg_watches
	seen := map[int]bool{}
	of := map[int]int{}
	var newest, ended time.Time
	late := 0
	lines := bufio.NewScanner(bytes.NewReader(generated(t)))
	for lines.Scan() {
		var w told
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			t.Fatal(err)
		}
		if seen[w.ID] {
			t.Errorf("watch %+v comes twice", w)
		}
		seen[w.ID] = true
		of[w.Livestream]++
		end := w.StartedAt.Add(time.Duration(w.Seconds) * time.Second)
		if end.Before(ended) {
			t.Errorf("watch %+v comes after one that ended later, at %v", w, ended)
		}
		ended = end
		if back := newest.Sub(w.StartedAt); back > allowed {
			t.Errorf("watch %+v began %v before one that was told", w, back)
		}
		if w.StartedAt.Before(newest) {
			late++
		} else {
			newest = w.StartedAt
		}
	}
	if len(seen) != watches || len(of) != len(livestreams) || late < 100 {
		t.Errorf("got %d watches of %d livestreams, %d of them behind others; want %d of %d, many of them so", len(seen), len(of), late, watches, len(livestreams))
	}
}

func generated(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Watches(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
