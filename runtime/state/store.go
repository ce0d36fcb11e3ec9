package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	// ErrCorrupt: an object or a local file of the state is missing or differs
	// from its checksum. The state must not be used: fall back to an earlier
	// manifest or rebuild.
	ErrCorrupt = errors.New("keyed state is corrupt")
	// ErrVersion: the state was written by a newer version of calve.
	ErrVersion = errors.New("keyed state is of a newer version")
	// ErrModelVersion: the state of a model was written by another version of
	// its definition, which this one cannot read.
	ErrModelVersion = errors.New("the model cannot read its former state")
	// ErrInUse: another process has the local folder open.
	ErrInUse = errors.New("the state folder is in use")
	// ErrClosed: the state is closed, or being put back.
	ErrClosed = errors.New("keyed state is not open")
)

// Objects is where files become durable: what state needs of a storage.Store,
// with its errors. Put is create-only.
type Objects interface {
	Put(ctx context.Context, location string, body []byte) error
	Get(ctx context.Context, location string) ([]byte, error)
}

// Names hands out names that no object has had: <epoch>-<nonce>-<seq>.
type Names interface{ Next() string }

// Config says where a state lives.
type Config struct {
	Dir     string // local folder, a cache; created where it is missing
	Objects Objects
	Prefix  string // where objects go: <warehouse>/_calve/<pipeline>/state
	// Manifest is the state to begin with, nil for an empty one.
	Manifest *Manifest
	// CacheBytes bounds the cache of uncompressed blocks; 0 means 256 MiB. Up
	// to 192 MiB of unwritten changes come on top, all of it on Go's heap where
	// C is off.
	CacheBytes int64
	Logger     *slog.Logger

	fs    vfs.FS                                       // set by tests: a disk that fails
	tune  func(*pebble.Options)                        // set by tests: a tree that is busy with few keys
	pause func(ctx context.Context, attempt int) error // set by tests: the wait between attempts
}

// Store is the keyed state of one pipeline on one machine. One goroutine calls
// Reset, Checkpoint, Rollback and Close, and none writes meanwhile; everything
// else is safe for concurrent use, and fails with ErrClosed during Rollback and
// after Close.
type Store struct {
	config Config
	logger *slog.Logger
	lock   *pebble.Lock

	base  *kept       // what live derives from; nil for the empty state
	kept  []*kept     // what Rollback finds on the local disk
	dirty atomic.Bool // live holds writes that base does not

	mu     sync.Mutex
	idle   sync.Cond // signalled when users becomes 0
	users  int
	engine *engine // nil while closed
	models *directory
}

// Open makes the local folder the state of the manifest: files that match by
// name, size and checksum are used again, the others are downloaded. It fails
// with ErrCorrupt, ErrVersion or ErrInUse, or with the store's or disk's error.
func Open(ctx context.Context, config Config) (*Store, error) {
	if config.CacheBytes == 0 {
		config.CacheBytes = defaultCache
	}
	if config.pause == nil {
		config.pause = backoff
	}
	if config.fs == nil {
		config.fs = vfs.Default
	}
	s := &Store{config: config, logger: config.Logger}
	s.idle.L = &s.mu
	if err := s.lockFolder(); err != nil {
		return nil, err
	}
	if err := s.begin(ctx, config.Manifest); err != nil {
		return nil, errors.Join(fmt.Errorf("open keyed state in %s: %w", config.Dir, err), s.lock.Close())
	}
	return s, nil
}

func (s *Store) lockFolder() error {
	if err := os.MkdirAll(s.config.Dir, folderMode); err != nil {
		return fmt.Errorf("create state folder: %w", err)
	}
	dir, err := filepath.Abs(s.config.Dir)
	if err != nil {
		return fmt.Errorf("resolve state folder %s: %w", s.config.Dir, err)
	}
	s.config.Dir = dir
	s.lock, err = pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		return fmt.Errorf("%w: lock %s: %w; another calve runs this project on this machine: stop it, or give each a folder of its own", ErrInUse, dir, err)
	}
	return nil
}

// Close ends the use of the state. What was not checkpointed is gone. If the
// tree cannot be closed the folder stays locked until the process ends, since
// pebble may still write to it.
func (s *Store) Close() error {
	if err := s.stop(); err != nil {
		return err
	}
	if s.lock == nil { // closed before
		return nil
	}
	lock := s.lock
	s.lock = nil
	if err := lock.Close(); err != nil {
		return fmt.Errorf("unlock state folder: %w", err)
	}
	return nil
}

// use returns the tree for one operation; release must follow.
func (s *Store) use() (*engine, *directory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return nil, nil, ErrClosed
	}
	if err := s.engine.failure(); err != nil {
		return nil, nil, err
	}
	s.users++
	return s.engine, s.models, nil
}

func (s *Store) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	if s.users == 0 {
		s.idle.Broadcast()
	}
}

// stop closes the tree once nobody uses it.
func (s *Store) stop() error {
	s.mu.Lock()
	e := s.engine
	s.engine, s.models = nil, nil
	for s.users > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	if e == nil {
		return nil
	}
	return e.close()
}

// start opens the tree in the folder live.
func (s *Store) start() error {
	e, err := openEngine(s.path(liveFolder), s.config)
	if err != nil {
		return err
	}
	models, err := loadDirectory(e.db)
	if err != nil {
		return errors.Join(err, e.close())
	}
	s.mu.Lock()
	s.engine, s.models = e, models
	s.mu.Unlock()
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.config.Dir, name) }

// backoff waits 100 ms, 200 ms, 400 ms … between attempts.
func backoff(ctx context.Context, attempt int) error {
	timer := time.NewTimer(100 * time.Millisecond << attempt)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
