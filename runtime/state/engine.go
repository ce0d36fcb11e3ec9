package state

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// pebbleFormat is pinned: a newer pebble must not make files that an older
	// calve cannot read before we decide so.
	pebbleFormat = pebble.FormatTableFormatV6

	defaultCache = 256 << 20
	// memTable bounds what one flush writes; up to memTables of them wait.
	memTable  = 64 << 20
	memTables = 3
)

// engine is an open tree and its fate. A failure of its background work is
// final: pebble would try again for ever, and writers would wait with it.
type engine struct {
	db     *pebble.DB
	closed atomic.Bool

	once    sync.Once
	failed  chan struct{}
	err     error
	waiting atomic.Int32 // calls into pebble that have not returned
}

func openEngine(dir string, config Config) (*engine, error) {
	e := &engine{failed: make(chan struct{})}
	options := tune(config.CacheBytes, config.fs)
	options.Logger = pebbleLogger{config.Logger}
	options.EventListener = &pebble.EventListener{
		BackgroundError: e.fail,
		DataCorruption:  func(info pebble.DataCorruptionInfo) { e.fail(info.Details) },
	}
	if config.tune != nil {
		config.tune(options)
	}
	db, err := pebble.Open(dir, options)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, classify(err))
	}
	e.db = db
	return e, nil
}

// tune sets pebble up for 10⁷ to 10⁸ small keys that change at random, on few
// cores, where each byte that a compaction writes is uploaded.
//
// A compaction into a level rewrites what the level has between the keys that
// come down: it pays when much comes at once. So level 0 collects eight flushes
// (half the threshold, by pebble's score), and the level below begins small,
// which gives the tree another step between it and the bottom. BenchmarkState
// measures the outcome: three bytes uploaded for each that changed.
func tune(cacheBytes int64, fs vfs.FS) *pebble.Options {
	options := &pebble.Options{
		FS:                          unsynced{fs},
		FormatMajorVersion:          pebbleFormat,
		DisableWAL:                  true, // the local disk is a cache
		CacheSize:                   cacheBytes,
		MemTableSize:                memTable,
		MemTableStopWritesThreshold: memTables,
		MaxOpenFiles:                2048,
		// The tree's own list of files is uploaded each epoch: it is written
		// anew when its edits outgrow the list.
		MaxManifestFileSize:        32 << 10,
		L0CompactionThreshold:      16,
		L0StopWritesThreshold:      64,
		LBaseMaxBytes:              4 << 20,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
	}
	for i := range options.TargetFileSizes {
		options.TargetFileSizes[i] = 4 << 20
	}
	options.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	for i := range options.Levels {
		options.Levels[i].BlockSize = 4 << 10
		options.Levels[i].IndexBlockSize = 256 << 10 // one level of index in a file
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return options
}

func (e *engine) fail(err error) {
	if e.closed.Load() {
		return
	}
	e.once.Do(func() {
		e.err = fmt.Errorf("keyed state on the local disk: %w", classify(err))
		close(e.failed)
	})
}

// failure is nil while all is well.
func (e *engine) failure() error {
	select {
	case <-e.failed:
		return e.err
	default:
		return nil
	}
}

// await runs a call that pebble blocks while its background work is behind, and
// gives up on it when that work has failed.
func (e *engine) await(call func() error) error {
	done := make(chan error, 1)
	e.waiting.Add(1)
	go func() {
		defer e.waiting.Add(-1)
		done <- call()
	}()
	select {
	case err := <-done:
		return e.judge(err)
	case <-e.failed:
		return e.err
	}
}

// judge makes of an error of pebble one of ours; a corruption is final.
func (e *engine) judge(err error) error {
	if err == nil {
		return nil
	}
	if pebble.IsCorruptionError(err) {
		e.fail(err)
		return e.failure()
	}
	return err
}

func (e *engine) close() error {
	e.closed.Store(true)
	if e.failure() != nil && e.waiting.Load() > 0 {
		return errors.New("close keyed state: a write still waits for the local disk; end the process and start it again")
	}
	if err := e.db.Close(); err != nil {
		return fmt.Errorf("close keyed state: %w", err)
	}
	return nil
}

// classify marks what pebble found to be corrupt.
func classify(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w; start again: local files that differ from the manifest are downloaded anew", ErrCorrupt, err)
	}
	return err
}

// pebbleLogger passes on what pebble says in its own words.
type pebbleLogger struct{ logger *slog.Logger }

// Infof drops the account of each flush and compaction: Metrics has the sums.
func (l pebbleLogger) Infof(string, ...any) {}

// Errorf logs an error.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.logger.Error("keyed state engine", "message", fmt.Sprintf(format, args...))
}

// Fatalf must not return, by pebble's contract: its memory is no longer what
// its files say. Ending the process loses nothing, as the truth is elsewhere.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	panic("keyed state engine: " + fmt.Sprintf(format, args...))
}
