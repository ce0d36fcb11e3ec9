package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/internal/keyindex"
	"github.com/calvelake/calve/lakehouse/storage"
)

// Catalog is what a Lake needs of an Iceberg catalog.
type Catalog interface {
	EnsureNamespace(ctx context.Context, namespace string) error
	// Load returns a table as it is now, or catalog.ErrNoSuchTable.
	Load(ctx context.Context, id catalog.Identifier) (*table.Table, error)
	// Create makes a table, or fails with catalog.ErrTableExists.
	Create(ctx context.Context, id catalog.Identifier, spec catalog.CreateSpec) (*table.Table, error)
	// Commit applies all commits or none where Atomic, else it takes one
	// commit a call. Any error leaves it unknown what happened (invariant 5).
	Commit(ctx context.Context, commits []table.TableCommit) error
	Atomic() bool
}

// Config says whose lake it is.
type Config struct {
	Pipeline string // the project's name
	Nonce    string // of this process, NewNonce
	// GiveUpAfter bounds how long Commit repeats a commit that gets no
	// success; 0 repeats until its context ends. The epoch stays decided.
	GiveUpAfter time.Duration
	Logger      *slog.Logger
}

// Lake is the tables of one pipeline.
type Lake struct {
	pipeline    string
	nonce       string
	giveUpAfter time.Duration
	logger      *slog.Logger
	store       storage.Store
	catalog     Catalog
	pause       func(ctx context.Context, attempt int) error
	seq         atomic.Int64 // of Names
	heads       heads
	hasher      keyindex.Hasher // of the keys of keyed tables
	layout      ChangeConfig    // sizes of their files, where a ChangeWriter is given none
	indexes     indexes
	files       fileLists
}

// New returns the lake of a pipeline. It does nothing yet.
func New(config Config, store storage.Store, cat Catalog) *Lake {
	return &Lake{
		pipeline:    config.Pipeline,
		nonce:       config.Nonce,
		giveUpAfter: config.GiveUpAfter,
		logger:      config.Logger,
		store:       store,
		catalog:     cat,
		pause:       backoff,
		hasher:      keyindex.NewHasher(),
	}
}

// Log is the pipeline's epoch log.
func (l *Lake) Log() *Log { return NewLog(l.store, l.pipeline, l.nonce, l.logger) }

// ErrOtherPipeline: a table belongs to another pipeline, or to none.
var ErrOtherPipeline = errors.New("table belongs to another pipeline")

// Ensure opens a table, or creates it as defined. A table that exists must be
// this pipeline's (ErrOtherPipeline); it is changed to take the defined rows, or
// that is refused (ErrDiffers); see Definition.Evolve.
func (l *Lake) Ensure(ctx context.Context, d Definition) (*Table, error) {
	tbl, err := l.catalog.Load(ctx, d.ID)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		tbl, err = l.create(ctx, d)
	}
	if err != nil {
		return nil, fmt.Errorf("open table %s: %w", d.ID, err)
	}
	tbl, err = l.evolve(ctx, d.ID, tbl, func(meta table.Metadata) (Evolution, error) {
		if err := l.checkOwner(d.ID, meta); err != nil {
			return Evolution{}, err
		}
		return d.Evolve(meta)
	})
	if err != nil {
		return nil, err
	}
	return l.table(d.ID, tbl)
}

func (l *Lake) create(ctx context.Context, d Definition) (*table.Table, error) {
	spec, err := d.createSpec(l.pipeline)
	if err != nil {
		return nil, err
	}
	if err := l.catalog.EnsureNamespace(ctx, d.ID.Namespace); err != nil {
		return nil, err
	}
	tbl, err := l.catalog.Create(ctx, d.ID, spec)
	if err != nil {
		// A create whose reply was lost, or a second starter: what counts is
		// the table that is there now (invariant 5).
		if there, loadErr := l.catalog.Load(ctx, d.ID); loadErr == nil {
			return there, nil
		}
		return nil, err
	}
	l.logger.Info("table created", "table", d.ID.String(), "location", tbl.Location())
	return tbl, nil
}

// checkOwner refuses a table that this pipeline does not write.
func (l *Lake) checkOwner(id catalog.Identifier, meta table.Metadata) error {
	owner, ok := meta.Properties()[PropertyPipeline]
	if !ok {
		return fmt.Errorf("%w: %s exists and was not made by calve; rename the model, choose another namespace, or set the table's property %s to %q to hand it over",
			ErrOtherPipeline, id, PropertyPipeline, l.pipeline)
	}
	if owner != l.pipeline {
		return fmt.Errorf("%w: %s is written by pipeline %q, this one is %q; rename the model or choose another namespace (if the project itself was renamed, give it its old name back)",
			ErrOtherPipeline, id, owner, l.pipeline)
	}
	return nil
}
