package server

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"github.com/calvelake/calve/lakehouse/storage"
)

// cachedFiles bounds the metadata that is kept parsed; a file may have a
// megabyte, and a table that is committed to needs only its last.
const cachedFiles = 64

// metadataFile is one metadata file, read or to be written.
type metadataFile struct {
	location string
	raw      json.RawMessage
	parsed   table.Metadata
}

// etag identifies the metadata, and with it every answer made of it: the file
// of a location never changes.
func (f *metadataFile) etag() string { return strconv.Quote(path.Base(f.location)) }

// readMetadata reads a metadata file of the warehouse.
func (s *Server) readMetadata(ctx context.Context, location string) (*metadataFile, error) {
	if file, ok := s.cache.get(location); ok {
		return file, nil
	}
	raw, err := s.store.Get(ctx, location)
	if err != nil {
		return nil, fmt.Errorf("read metadata file: %w", err)
	}
	parsed, err := table.ParseMetadataBytes(raw)
	if err != nil {
		return nil, fmt.Errorf("parse metadata file %s: %w", location, err)
	}
	file := &metadataFile{location: location, raw: raw, parsed: parsed}
	s.cache.put(file)
	return file, nil
}

// newMetadataFile gives metadata its file: the version after that of the
// previous location, which is empty for a new table.
func newMetadataFile(metadata table.Metadata, previous string) (*metadataFile, error) {
	raw, err := json.Marshal(metadata)
	if err != nil {
		return nil, fmt.Errorf("encode table metadata: %w", err)
	}
	version := 0
	if previous != "" {
		version = versionOf(previous) + 1
	}
	location := fmt.Sprintf("%s/metadata/%05d-%s.metadata.json",
		strings.TrimRight(storage.Canonical(metadata.Location()), "/"), version, uuid.NewString())
	// Parsed again, so that what is served is what readers of the file see.
	parsed, err := table.ParseMetadataBytes(raw)
	if err != nil {
		return nil, badRequest("the changes do not make a valid table: %w", err)
	}
	return &metadataFile{location: location, raw: raw, parsed: parsed}, nil
}

func (s *Server) writeMetadata(ctx context.Context, file *metadataFile) error {
	if err := s.store.Put(ctx, file.location, file.raw); err != nil {
		return fmt.Errorf("write metadata file: %w", err)
	}
	s.cache.put(file)
	return nil
}

// versionOf reads the version in a metadata file's name; 0 for foreign names.
func versionOf(location string) int {
	digits, _, _ := strings.Cut(path.Base(location), "-")
	version, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return version
}

// metadataCache keeps the files seen last.
type metadataCache struct {
	mu    sync.Mutex
	files map[string]*metadataFile
	order []string // oldest first
}

func newMetadataCache() *metadataCache { return &metadataCache{files: map[string]*metadataFile{}} }

func (c *metadataCache) get(location string) (*metadataFile, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	file, ok := c.files[location]
	return file, ok
}

func (c *metadataCache) put(file *metadataFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.files[file.location]; ok {
		return
	}
	if len(c.order) == cachedFiles {
		delete(c.files, c.order[0])
		c.order = c.order[1:]
	}
	c.files[file.location] = file
	c.order = append(c.order, file.location)
}
