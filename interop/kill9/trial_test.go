//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeCalve is a program in calve's place.
func fakeCalve(t *testing.T, script string) options {
	t.Helper()
	o := options{calve: filepath.Join(t.TempDir(), "calve"), logs: t.TempDir()}
	if err := os.WriteFile(o.calve, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestHowAWriterEnds(t *testing.T) {
	for _, test := range []struct {
		name, script  string
		itself        bool // the writer ends before it is killed
		kills, fenced int
		fails         bool
	}{
		{name: "killed", script: "exec sleep 600", kills: 1},
		{name: "fenced", script: "exit 3", itself: true, fenced: 1},
		{name: "failed", script: "echo the disk is full; exit 1", itself: true, fails: true},
		{name: "ended well though nobody asked", script: "exit 0", itself: true, fails: true},
		{name: "crashed by itself", script: "kill -ABRT $$", itself: true, fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			trial := newTrial(fakeCalve(t, test.script))
			if err := trial.start(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			if test.itself {
				<-trial.writers[0].done
			}
			err := trial.end(0)
			if got := err != nil; got != test.fails {
				t.Errorf("got error %v, want one: %v", err, test.fails)
			}
			if trial.kills != test.kills || trial.fenced != test.fenced {
				t.Errorf("got %d kills and %d fenced, want %d and %d", trial.kills, trial.fenced, test.kills, test.fenced)
			}
		})
	}
}

func TestErrorOfAWriterShowsItsLog(t *testing.T) {
	trial := newTrial(fakeCalve(t, "echo the disk is full; exit 1"))
	if err := trial.start(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	<-trial.writers[0].done
	if err := trial.end(0); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("got %v, want the log's end in it", err)
	}
}

func TestNoWriterOutlivesTheTrial(t *testing.T) {
	for _, last := range []action{start, freeze} {
		trial := newTrial(fakeCalve(t, "exec sleep 600"))
		ctx, cancel := context.WithCancel(t.Context())
		if err := trial.act(ctx, step{0, start, 0}); err != nil {
			t.Fatal(err)
		}
		w := trial.writers[0]
		if last == freeze {
			if err := trial.act(ctx, step{0, freeze, 0}); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if err := trial.play(ctx, round{{1, start, 1}}); err == nil {
			t.Error("got no error from a round after the time was over")
		}
		trial.killAll()
		<-w.done
		if !w.killed() {
			t.Errorf("got exit code %d, want a writer that was killed", w.code())
		}
	}
}

func TestLastRunIsRepeatedWhenItIsFenced(t *testing.T) {
	once := `[ -e "$0.ran" ] && exit 0; touch "$0.ran"; exit 3`
	trial := newTrial(fakeCalve(t, once))
	if err := trial.finish(t.Context()); err != nil || trial.fenced != 1 {
		t.Errorf("got %v after %d fenced runs, want success after 1", err, trial.fenced)
	}
	if err := newTrial(fakeCalve(t, "exit 3")).finish(t.Context()); err == nil {
		t.Error("got no error from runs that are fenced over and over")
	}
	if err := newTrial(fakeCalve(t, "exit 1")).finish(t.Context()); err == nil {
		t.Error("got no error from a last run that fails")
	}
}

func TestWriterThatDoesNotEndIsKilled(t *testing.T) {
	w, err := startWriter(t.Context(), fakeCalve(t, "exec sleep 600"), "writer")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.wait(t.Context(), time.Millisecond); err == nil || !w.killed() {
		t.Errorf("got %v, killed %v; want an error and a killed writer", err, w.killed())
	}
}
