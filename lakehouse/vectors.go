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

// readVectors reads the deletion vectors of some data files, by their location.
func readVectors(ctx context.Context, tbl *table.Table, files *liveFiles, locations []string) (map[string]*positions, error) {
	if len(locations) == 0 {
		return nil, nil
	}
	fs, err := tbl.FS(ctx)
	if err != nil {
		return nil, fmt.Errorf("open files of %v: %w", tbl.Identifier(), err)
	}
	byFile := map[string][]iceberg.DataFile{}
	for _, location := range locations {
		data := files.vectors[location].data
		byFile[data.FilePath()] = append(byFile[data.FilePath()], data)
	}
	sets := make(map[string]*positions, len(locations))
	for _, puffin := range slices.Sorted(maps.Keys(byFile)) {
		bitmaps, err := dv.ReadDVs(fs, byFile[puffin])
		if err != nil {
			return nil, fmt.Errorf("read deletion vectors %s: %w", puffin, err)
		}
		for i, data := range byFile[puffin] {
			set := &positions{}
			for row := range bitmaps[i].Positions() {
				set.add(int64(row))
			}
			sets[*data.ReferencedDataFile()] = set
		}
	}
	return sets, nil
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

// writeVectors puts deletion vectors, by the location of their data file, into
// one Puffin file at <table>/data/<name>.puffin; nil if there are none.
func (t *Table) writeVectors(ctx context.Context, head *table.Table, files *liveFiles, names *Names, sets map[string]*positions) (*VectorFile, error) {
	if len(sets) == 0 {
		return nil, nil
	}
	meta := head.Metadata()
	specs := func(id int32) *iceberg.PartitionSpec { return meta.PartitionSpecByID(int(id)) }
	to := &puffinSink{put: func(location string, body []byte) error { return t.store.Put(ctx, location, body) }}
	w := dv.NewDVWriter(to, specs)
	for _, location := range slices.Sorted(maps.Keys(sets)) {
		data := files.at[location].data
		w.Load(location, sets[location].bitmap(), data.SpecID(), data.Partition())
	}
	file := &VectorFile{Location: t.location + "/data/" + names.Next() + ".puffin"}
	entries, err := w.Flush(ctx, file.Location)
	if err != nil {
		return nil, fmt.Errorf("write deletion vectors %s: %w", file.Location, err)
	}
	digest := sha256.Sum256(to.body)
	file.Bytes, file.SHA256 = int64(len(to.body)), hex.EncodeToString(digest[:])
	x := t.lake.indexes.of(t.UUID)
	for _, data := range entries {
		entry, err := codec.EncodeDataFile(data, *specs(data.SpecID()), t.schema, t.version)
		if err != nil {
			return nil, fmt.Errorf("encode entry of deletion vector %s: %w", vectorID(data), err)
		}
		of := *data.ReferencedDataFile()
		file.Vectors = append(file.Vectors, Vector{DataFile: of, Replaces: files.vectorOf(of), Entry: entry})
		x.rememberVector(vectorID(data), sets[of])
	}
	return file, nil
}
