package lakehouse

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/google/uuid"

	"github.com/calvelake/calve/runtime/record"
)

// Epoch is the record of one epoch: the decision that its files belong to its
// tables, and all that a successor needs to carry it out. Record n derives
// from the state that record n−1 left (invariant 3).
//
// # Format, version 1
//
// One line "calve-epoch 1 sha256=<hex of the rest>", then the epoch as one JSON
// object with the members below. Times are µs since 1970-01-01 UTC. A reader
// refuses a version that it does not know and a body whose digest differs;
// members that it does not know are of a newer version too (ErrVersion), since a
// decision that is only half understood must not be carried out.
type Epoch struct {
	Number     int64             `json:"number"`   // from 1, without gaps
	Pipeline   string            `json:"pipeline"` // the project's name
	Writer     string            `json:"writer"`   // nonce of the process that decided
	Host       string            `json:"host"`     // where it ran, for messages only
	StartedAt  int64             `json:"started_at"`
	DecidedAt  int64             `json:"decided_at"`
	ConfigHash string            `json:"config_hash"`
	Plugins    map[string]string `json:"plugins,omitempty"` // reference → SHA-256 of the module
	Readers    []Reader          `json:"readers"`
	State      *StateManifest    `json:"state,omitempty"` // keyed state; absent while no model has any
	// Watermarks are those of staging models, by model; absent while no model
	// keeps state.
	Watermarks map[string]record.Watermark `json:"watermarks,omitempty"`
	Keyed      []KeyedModel                `json:"keyed,omitempty"`    // models that keep state, in the order in which they run
	Changes    []TableChange               `json:"changes"`            // in commit order: dimensions, facts, dead letters, audit
	Tables     []TableState                `json:"tables"`             // every table of the pipeline after this epoch
	Retired    []string                    `json:"retired,omitempty"`  // tables that the operator gave up; no longer committed
	Requests   []Request                   `json:"requests,omitempty"` // requests of other commands that this epoch carried on
}

// Request is how far the writer has come with what another command asked for
// (a replay, a reconciliation, maintenance).
type Request struct {
	ID     string `json:"id"`
	Cursor string `json:"cursor"` // opaque to the log
	Done   bool   `json:"done"`
}

// Reader is a set of models that read the same topics at the same positions.
type Reader struct {
	Name   string            `json:"name"`
	Models []string          `json:"models"`
	Inputs map[string]string `json:"inputs,omitempty"` // by model: the topic that it reads
	Ranges []Range           `json:"ranges"`           // every TopicPartition assigned, also those that delivered nothing
}

// Range is what an epoch took of one TopicPartition: offsets [From, To).
type Range struct {
	ClusterID   string     `json:"cluster_id"`
	TopicID     string     `json:"topic_id"`
	Topic       string     `json:"topic"`
	Partition   int32      `json:"partition"`
	From        int64      `json:"from"`
	To          int64      `json:"to"` // next offset to deliver; control records count
	LeaderEpoch int32      `json:"leader_epoch"`
	Delivered   int64      `json:"delivered"`           // data records
	Watermark   *int64     `json:"watermark,omitempty"` // µs
	Lost        []Interval `json:"lost,omitempty"`      // accepted losses within [From, To)
}

// Interval is a half-open range of offsets.
type Interval struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// StateManifest names the objects that hold the keyed state after an epoch.
type StateManifest struct {
	Location string `json:"location"`
	SHA256   string `json:"sha256"`
}

// KeyedModel is a model that keeps state, after an epoch.
type KeyedModel struct {
	Name string `json:"name"`
	// Definition is a digest of what its state depends on: a model that is
	// defined otherwise cannot go on with it.
	Definition string `json:"definition"`
	// Describes is what the digest is of, for messages; absent where the model's
	// kind does not tell.
	Describes []string `json:"describes,omitempty"`
	// Watermark is absent for a model that depends on no staging model.
	Watermark *Reached `json:"watermark,omitempty"`
	// Behind is set while the model takes in what its inputs' tables held when it
	// began: the last epoch of theirs that it has taken in.
	Behind *int64 `json:"behind,omitempty"`
	// Rework is set while its rows are made anew.
	Rework *Rework `json:"rework,omitempty"`
	// Open is how many sessions it holds open; absent for a model that has none.
	Open *int64 `json:"open,omitempty"`
}

// Reached is how far a keyed model's event time has come after an epoch, in µs
// since 1970-01-01 UTC or record.NoTime. It does not follow from the watermarks
// of staging models alone, for it stays where it is when one that was silent
// delivers what is older.
type Reached struct {
	At   int64 `json:"at"`
	Seen int64 `json:"seen"` // what its operator saw in the epoch
}

// Rework is what is known of a keyed model whose rows are made anew, while its
// table shows those from before. Times are watermarks, µs since 1970-01-01 UTC.
type Rework struct {
	Shown int64 `json:"shown"` // that the rows of the table are of
	// Request asked for it; absent for a model that began anew at a start.
	Request string `json:"request,omitempty"`
	// Until is the epoch up to which nothing of its inputs is late; absent where
	// lateness is judged as ever. Seen is what its operator has seen then.
	Until int64 `json:"until,omitempty"`
	Seen  int64 `json:"seen,omitempty"`
}

// TableChange is what an epoch does to one table.
type TableChange struct {
	Table    string    `json:"table"`
	UUID     uuid.UUID `json:"uuid"`
	Prev     int64     `json:"prev"` // the table's epoch before, 0 if none: the commit requires it
	SchemaID int       `json:"schema_id"`
	SpecID   int       `json:"spec_id"`
	Add      []File    `json:"add,omitempty"`
	Replace  []string  `json:"replace,omitempty"` // data files that Add and ChangeFile supersede
	// Vectors take rows out of data files that stay; absent for a table whose
	// files are replaced instead.
	Vectors []Vector `json:"vectors,omitempty"`
	// Format is the version of the Iceberg format that the entries are of; absent
	// for 2.
	Format int `json:"format,omitempty"`
	// ChangeFile names the (key, op, row) changes of a rewritten table, from
	// which a commit re-plans on a head that another writer has moved.
	ChangeFile *ChangeFile `json:"change_file,omitempty"`
	Counts     []Counts    `json:"counts,omitempty"` // per model that writes the table
}

// Counts are what went into a table and what became of it, in records of the
// model's input but for Out.
type Counts struct {
	Model    string `json:"model"`
	In       int64  `json:"in"`
	Out      int64  `json:"out"` // rows
	Dead     int64  `json:"dead"`
	Filtered int64  `json:"filtered"`
}

// uploaded are the objects that were put for a change, but for its change file.
func (c *TableChange) uploaded() []File {
	files := slices.Clone(c.Add)
	for _, v := range c.Vectors {
		files = append(files, File{Location: v.Location, Bytes: v.Bytes, SHA256: v.SHA256})
	}
	return files
}

// format is the version of the Iceberg format that the entries are of.
func (c *TableChange) format() int { return cmp.Or(c.Format, plainVersion) }

// ChangeFile is a Parquet file of changes by key.
type ChangeFile struct {
	Location string `json:"location"`
	SHA256   string `json:"sha256"`
}

// File is a data file that was uploaded before the record.
type File struct {
	Location string `json:"location"`
	Bytes    int64  `json:"bytes"`
	Rows     int64  `json:"rows"`
	SHA256   string `json:"sha256"`
	// Entry is the manifest entry's data_file struct, Avro-encoded by the
	// table's schema, partition spec and format version (iceberg-go
	// codec.EncodeDataFile).
	Entry []byte `json:"entry"`
}

// Vector is a deletion vector: which rows of a data file are not there any more. It
// is the one blob of a Puffin file.
type Vector struct {
	Location string `json:"location"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
	DataFile string `json:"data_file"`
	// Replaces is the vector that the data file had, as location#offset; absent if
	// it had none. A data file has one at most.
	Replaces string `json:"replaces,omitempty"`
	// Entry is the manifest entry's data_file struct, as File.Entry is.
	Entry []byte `json:"entry"`
}

// TableState is which table a name stood for, and its last epoch.
type TableState struct {
	Table string    `json:"table"`
	UUID  uuid.UUID `json:"uuid"`
	Epoch int64     `json:"epoch"` // the last that touched it, 0 if none
}

// EpochVersion is the version of the record format that this code writes.
const EpochVersion = 1

const epochHeader = "calve-epoch %d sha256=%s\n"

// ErrCorrupt: an epoch record's digest differs, or it is not one.
var ErrCorrupt = errors.New("epoch record is corrupt")

// ErrVersion: an epoch record was written by a newer version of calve.
var ErrVersion = errors.New("epoch record is of a newer version")

// Encode renders e in the format above.
func (e *Epoch) Encode() ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode epoch %d: %w", e.Number, err)
	}
	digest := sha256.Sum256(body)
	return append(fmt.Appendf(nil, epochHeader, EpochVersion, hex.EncodeToString(digest[:])), body...), nil
}

// DecodeEpoch is the inverse of Encode. It fails with ErrCorrupt or ErrVersion.
func DecodeEpoch(data []byte) (*Epoch, error) {
	line, body, found := bytes.Cut(data, []byte("\n"))
	var version int
	var want string
	if _, err := fmt.Sscanf(string(line), "calve-epoch %d sha256=%s", &version, &want); err != nil || !found {
		return nil, fmt.Errorf("%w: the first line is not a calve-epoch header", ErrCorrupt)
	}
	if version != EpochVersion {
		return nil, fmt.Errorf("%w: version %d, this calve reads %d; run the newer calve", ErrVersion, version, EpochVersion)
	}
	digest := sha256.Sum256(body)
	if got := hex.EncodeToString(digest[:]); got != want {
		return nil, fmt.Errorf("%w: digest %s, expected %s", ErrCorrupt, got, want)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	var e Epoch
	if err := decoder.Decode(&e); err != nil {
		// The digest agrees: it is as it was written, by one that has further members.
		return nil, fmt.Errorf("%w: %w; run the newer calve", ErrVersion, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: text after the epoch", ErrCorrupt)
	}
	return &e, nil
}

// counts are those of the models that write tables.
func (e *Epoch) counts() map[string]Counts {
	all := map[string]Counts{}
	for _, change := range e.Changes {
		for _, c := range change.Counts {
			all[c.Model] = c
		}
	}
	return all
}

// Change returns what the epoch does to a table, or nil.
func (e *Epoch) Change(name string) *TableChange {
	for i := range e.Changes {
		if e.Changes[i].Table == name {
			return &e.Changes[i]
		}
	}
	return nil
}
