package athlete

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"testing"
	"time"
)

// frame is what the test reads of one.
type frame struct {
	Athlete    string    `json:"athlete_id"`
	Session    string    `json:"session_id"`
	Frame      int       `json:"frame"`
	CapturedAt time.Time `json:"captured_at"`
}

func TestTheSameBytesComeOutEverywhere(t *testing.T) {
	for name, c := range map[string]struct {
		generate func(io.Writer) error
		lines    int
		digest   string
	}{
		"poses":           {Poses, 24_250, "4a76770e8473a602c34db78ae2ab23c10c24ed18f1325b1cae281356e6575031"},
		"late poses":      {LatePoses, 300, "b96428d8ecdccc0ffd31232870f7c254d100c99581c453e1514cca98b89616e9"},
		"biometrics":      {Biometrics, 983, "fdcaa72549c675a432bc8ad58b6cc3d2b9c3ae58bc183ab410ea5241a2bf44cb"},
		"late biometrics": {LateBiometrics, 346, "ab3406b13cfe3133c56b5e507fdb2d0787f0ad9bd226c20455f7bc3bed84a3e0"},
	} {
		text := generated(t, c.generate)
		sum := sha256.Sum256(text)
		if got, lines := hex.EncodeToString(sum[:]), bytes.Count(text, []byte("\n")); got != c.digest || lines != c.lines {
			t.Errorf("%s: got %d lines of digest %s, want %d of %s", name, lines, got, c.lines, c.digest)
		}
	}
}

func TestEveryFrameComesOnceAndNoneFartherBackThanTheModelAllows(t *testing.T) {
	const allowed = 2 * time.Minute // max_out_of_orderness of stg_pose_events
	seen := map[frame]bool{}
	var newest time.Time
	late := 0
	for i, generate := range []func(io.Writer) error{Poses, LatePoses} {
		lines := bufio.NewScanner(bytes.NewReader(generated(t, generate)))
		for lines.Scan() {
			var f frame
			if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
				t.Fatal(err)
			}
			if f.CapturedAt.Before(newest) {
				late++
			}
			if back := newest.Sub(f.CapturedAt); i == 0 && back > allowed {
				t.Errorf("frame %+v is %v behind the newest", f, back)
			}
			if f.CapturedAt.After(newest) {
				newest = f.CapturedAt
			}
			key := frame{Athlete: f.Athlete, Session: f.Session, Frame: f.Frame}
			if seen[key] {
				t.Errorf("frame %+v comes twice", f)
			}
			seen[key] = true
		}
	}
	want := 0
	for _, s := range day {
		want += s.seconds * frameRate
	}
	if len(seen) != want || late < 1000 {
		t.Errorf("got %d frames, %d of them behind others; want %d, many of them so", len(seen), late, want)
	}
}

func generated(t *testing.T, generate func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := generate(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
