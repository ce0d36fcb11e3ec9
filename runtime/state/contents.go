package state

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/calvelake/calve/lakehouse/storage"
)

// Manifest points to an object that lists the files of the state after an
// epoch. The epoch's record holds it; nil stands for no state at all.
type Manifest struct {
	Location string
	SHA256   string // of the whole object, hex
}

// Contents is what a manifest's object says.
//
// # Format, version 1
//
// One line "calve-state 1 sha256=<hex of the rest>", then one JSON object with
// the members below. A reader refuses a version or a member that it does not
// know and a body whose digest differs.
type Contents struct {
	PebbleFormat int     `json:"pebble_format"` // format major version of the files
	Models       []Model `json:"models"`
	Files        []File  `json:"files"`
}

// Model is a model that has state.
type Model struct {
	Name    string `json:"name"`
	Version int    `json:"version"` // of its encoding of keys and values
	// Keys and Bytes are estimates: a key counts more than once while several
	// levels of the tree hold a version of it. Bytes are compressed.
	Keys  int64 `json:"keys"`
	Bytes int64 `json:"bytes"`
}

// File is one file of the tree.
type File struct {
	Name string `json:"name"` // in the local folder
	// Object is the name beside the manifest's object; "" for an empty file,
	// whose name says it all.
	Object string `json:"object,omitempty"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"` // hex
}

// ContentsVersion is the version of the manifest format that this code writes.
const ContentsVersion = 1

const contentsHeader = "calve-state %d sha256=%s\n"

// Read loads and checks a manifest's object. It fails with ErrCorrupt or
// ErrVersion, or with the store's error.
func Read(ctx context.Context, objects Objects, m Manifest) (*Contents, error) {
	body, err := objects.Get(ctx, m.Location)
	if errors.Is(err, storage.ErrNotExist) {
		return nil, fmt.Errorf("%w: the state manifest %s is missing", ErrCorrupt, m.Location)
	}
	if err != nil {
		return nil, fmt.Errorf("read state manifest: %w", err)
	}
	if got := digest(body); got != m.SHA256 {
		return nil, fmt.Errorf("%w: the state manifest %s has digest %s, its epoch record says %s", ErrCorrupt, m.Location, got, m.SHA256)
	}
	c, err := decodeContents(body)
	if err != nil {
		return nil, fmt.Errorf("read state manifest %s: %w", m.Location, err)
	}
	return c, nil
}

// Live lists the locations of all objects that a manifest needs, its own
// included: what a collection of garbage must leave alone (invariant 11).
func Live(ctx context.Context, objects Objects, m Manifest) ([]string, error) {
	c, err := Read(ctx, objects, m)
	if err != nil {
		return nil, err
	}
	live := []string{m.Location}
	for _, f := range c.Files {
		if f.Object != "" {
			live = append(live, m.beside(f.Object))
		}
	}
	return live, nil
}

// beside is the location of an object in the manifest's own folder.
func (m Manifest) beside(object string) string {
	return m.Location[:strings.LastIndexByte(m.Location, '/')+1] + object
}

func (c *Contents) encode() ([]byte, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode state manifest: %w", err)
	}
	return append(fmt.Appendf(nil, contentsHeader, ContentsVersion, digest(body)), body...), nil
}

func decodeContents(data []byte) (*Contents, error) {
	line, body, found := bytes.Cut(data, []byte("\n"))
	var version int
	var want string
	if _, err := fmt.Sscanf(string(line), "calve-state %d sha256=%s", &version, &want); err != nil || !found {
		return nil, fmt.Errorf("%w: the first line is not a calve-state header", ErrCorrupt)
	}
	if version != ContentsVersion {
		return nil, fmt.Errorf("%w: manifest version %d, this calve reads %d; run the newer calve", ErrVersion, version, ContentsVersion)
	}
	if got := digest(body); got != want {
		return nil, fmt.Errorf("%w: digest %s, expected %s", ErrCorrupt, got, want)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	var c Contents
	if err := decoder.Decode(&c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: text after the manifest", ErrCorrupt)
	}
	return &c, c.check()
}

// check refuses what would write outside the folder, and trees that this
// version of pebble cannot read.
func (c *Contents) check() error {
	if c.PebbleFormat > int(pebbleFormat) {
		return fmt.Errorf("%w: pebble format %d, this calve reads up to %d; run the newer calve", ErrVersion, c.PebbleFormat, pebbleFormat)
	}
	for _, f := range c.Files {
		if path.Base(f.Name) != f.Name || strings.ContainsAny(f.Name, `/\`) || f.Name == ".." || f.Name == "." || kindOf(f.Name) == foreign {
			return fmt.Errorf("%w: %q is no file of a state", ErrCorrupt, f.Name)
		}
		if (f.Object == "") != (f.Size == 0) || strings.ContainsAny(f.Object, `/\`) {
			return fmt.Errorf("%w: file %s has no proper object", ErrCorrupt, f.Name)
		}
	}
	return nil
}

// total is the size of all files in bytes.
func (c *Contents) total() int64 {
	var sum int64
	for _, f := range c.Files {
		sum += f.Size
	}
	return sum
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
