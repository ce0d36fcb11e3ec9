package lakehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/codec"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/table/dv"
	"golang.org/x/sync/errgroup"
)

// positions are a set of rows of a data file, by their place in it.
type positions struct {
	words []uint64
	count int64
}

func (s *positions) has(row int64) bool {
	return s != nil && row>>6 < int64(len(s.words)) && s.words[row>>6]>>(row&63)&1 == 1
}

// add puts a row into the set, and tells whether it was not in it.
func (s *positions) add(row int64) bool {
	if s.has(row) {
		return false
	}
	if missing := row>>6 + 1 - int64(len(s.words)); missing > 0 {
		s.words = append(s.words, make([]uint64, missing)...)
	}
	s.words[row>>6] |= 1 << (row & 63)
	s.count++
	return true
}

func (s *positions) clone() *positions {
	if s == nil {
		return &positions{}
	}
	return &positions{slices.Clone(s.words), s.count}
}

func (s *positions) len() int64 {
	if s == nil {
		return 0
	}
	return s.count
}

// within tells whether all rows of the set are in another.
func (s *positions) within(other *positions) bool {
	if s == nil {
		return true
	}
	for i, word := range s.words {
		var there uint64
		if other != nil && i < len(other.words) {
			there = other.words[i]
		}
		if word&^there != 0 {
			return false
		}
	}
	return true
}

// bitmap is the set as Iceberg writes it.
func (s *positions) bitmap() *dv.RoaringPositionBitmap {
	b := dv.NewRoaringPositionBitmap()
	for i, word := range s.words {
		for ; word != 0; word &= word - 1 {
			b.Set(uint64(i)<<6 + uint64(bits.TrailingZeros64(word)))
		}
	}
	return b
}

// vectorID tells deletion vectors apart: one Puffin file has many.
func vectorID(data iceberg.DataFile) string {
	return fmt.Sprintf("%s#%d", data.FilePath(), *data.ContentOffset())
}

// vectorOf is the id of the vector that a data file has, "" if it has none.
func (f *liveFiles) vectorOf(location string) string {
	v, ok := f.vectors[location]
	if !ok {
		return ""
	}
	return vectorID(v.data)
}

// vectorsAtOnce is how many Puffin files are read or written side by side.
const vectorsAtOnce = 16

// readVectors reads the deletion vectors of some data files, by their location.
func readVectors(ctx context.Context, tbl *table.Table, files *liveFiles, locations []string) (map[string]*positions, error) {
	if len(locations) == 0 {
		return nil, nil
	}
	fs, err := tbl.FS(ctx)
	if err != nil {
		return nil, fmt.Errorf("open files of %v: %w", tbl.Identifier(), err)
	}
	sets := make([]*positions, len(locations))
	group := new(errgroup.Group)
	group.SetLimit(vectorsAtOnce)
	for i, location := range locations {
		group.Go(func() (err error) {
			sets[i], err = readVector(fs, files.vectors[location].data, files.at[location].data.Count())
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	read := make(map[string]*positions, len(locations))
	for i, location := range locations {
		read[location] = sets[i]
	}
	return read, nil
}

// readVector reads the deletion vector of a data file of so many rows.
func readVector(fs iceio.IO, data iceberg.DataFile, rows int64) (*positions, error) {
	bitmap, err := dv.ReadDV(fs, data)
	if err != nil {
		return nil, fmt.Errorf("read deletion vector %s: %w", vectorID(data), err)
	}
	set := &positions{}
	for row := range bitmap.Positions() {
		if row >= uint64(rows) {
			return nil, fmt.Errorf("%w: deletion vector %s takes out row %d of %s, which has %d; roll the table back to before the writer that added it", ErrForeign, vectorID(data), row, *data.ReferencedDataFile(), rows)
		}
		set.add(int64(row))
	}
	return set, nil
}

// puffinSink puts the one file that a dv.DVWriter writes.
type puffinSink struct {
	iceio.WriteFileIO // nothing else of it is used
	put               func(location string, body []byte) error
	body              []byte
}

// WriteFile implements io.WriteFileIO.
func (s *puffinSink) WriteFile(location string, body []byte) error {
	s.body = body
	return s.put(location, body)
}

// writeVectors puts deletion vectors, by the location of their data file, each into
// a Puffin file of its own at <table>/data/<name>.puffin. (One file of many would be
// fewer requests; but Iceberg's Java library, up to 1.12 at least, deletes a file at
// the expiry of a snapshot as soon as one of its vectors is replaced.)
func (t *Table) writeVectors(ctx context.Context, head *table.Table, files *liveFiles, names *Names, sets map[string]*positions) ([]Vector, error) {
	vectors := make([]Vector, len(sets))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(vectorsAtOnce)
	for i, of := range slices.Sorted(maps.Keys(sets)) {
		location := t.location + "/data/" + names.Next() + ".puffin"
		group.Go(func() (err error) {
			vectors[i], err = t.writeVector(ctx, head.Metadata(), files, location, of, sets[of])
			return err
		})
	}
	return vectors, group.Wait()
}

// writeVector puts the deletion vector of one data file.
func (t *Table) writeVector(ctx context.Context, meta table.Metadata, files *liveFiles, location, of string, set *positions) (Vector, error) {
	specs := func(id int32) *iceberg.PartitionSpec { return meta.PartitionSpecByID(int(id)) }
	to := &puffinSink{put: func(location string, body []byte) error { return t.store.Put(ctx, location, body) }}
	w, file := dv.NewDVWriter(to, specs), files.at[of].data
	w.Load(of, set.bitmap(), file.SpecID(), file.Partition())
	entries, err := w.Flush(ctx, location)
	if err != nil {
		return Vector{}, fmt.Errorf("write deletion vector %s: %w", location, err)
	}
	data := entries[0]
	entry, err := codec.EncodeDataFile(data, *specs(data.SpecID()), t.schema, t.version)
	if err != nil {
		return Vector{}, fmt.Errorf("encode entry of deletion vector %s: %w", location, err)
	}
	t.lake.indexes.of(t.UUID).rememberVector(vectorID(data), set)
	digest := sha256.Sum256(to.body)
	return Vector{
		Location: location, Bytes: int64(len(to.body)), SHA256: hex.EncodeToString(digest[:]),
		DataFile: of, Replaces: files.vectorOf(of), Entry: entry,
	}, nil
}
