package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/calvelake/calve/lakehouse/storage"
)

// objects is the registry's part of a store: create-only objects by name.
type objects struct {
	store storage.Store
	dir   string // <warehouse>/_calve/plugins
	pause func(ctx context.Context, attempt int) error
}

// putAttempts is how often a put without a definite answer is repeated. It
// covers a store's failover, about half a minute; a command that waits longer
// tells nobody anything.
const putAttempts = 10

// create puts an object. If another body is there already it returns that body
// and created false. An error that is ErrUnknown leaves open which of the two
// it will be.
func (o *objects) create(ctx context.Context, name string, body []byte) (there []byte, created bool, err error) {
	location := o.dir + "/" + name
	sent := false // an attempt may have reached the store
	for attempt := 0; ; attempt++ {
		err := o.store.Put(ctx, location, body)
		switch {
		case err == nil:
			return body, true, nil
		case errors.Is(err, storage.ErrExists):
			return o.compare(ctx, name, body)
		case definite(err) && !sent:
			return nil, false, fmt.Errorf("write %s: %w", location, err)
		}
		sent = true
		if attempt+1 == putAttempts || o.pause(ctx, attempt) != nil {
			return nil, false, fmt.Errorf("write %s: %w; do the same again to find out: %w", location, ErrUnknown, err)
		}
	}
}

// compare tells whose an object is that is there.
func (o *objects) compare(ctx context.Context, name string, ours []byte) ([]byte, bool, error) {
	for attempt := 0; ; attempt++ {
		theirs, err := o.store.Get(ctx, o.dir+"/"+name)
		if err == nil {
			return theirs, bytes.Equal(ours, theirs), nil
		}
		if attempt+1 == putAttempts || o.pause(ctx, attempt) != nil {
			return nil, false, fmt.Errorf("read %s/%s: %w; do the same again to find out: %w", o.dir, name, ErrUnknown, err)
		}
	}
}

// definite tells whether a failed write certainly did not happen.
func definite(err error) bool {
	return errors.Is(err, storage.ErrPermission) || errors.Is(err, storage.ErrNoSpace) || errors.Is(err, storage.ErrOutside)
}

// get reads an object, or fails with ErrNotFound.
func (o *objects) get(ctx context.Context, name string) ([]byte, error) {
	body, err := o.store.Get(ctx, o.dir+"/"+name)
	if errors.Is(err, storage.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no object %s/%s", ErrNotFound, o.dir, name)
	}
	if err != nil {
		return nil, fmt.Errorf("read plugin registry: %w", err)
	}
	return body, nil
}

// read reads an object of JSON.
func (o *objects) read(ctx context.Context, name string, into formatted) error {
	body, err := o.get(ctx, name)
	if err != nil {
		return err
	}
	return decodeObject(name, body, into)
}

// list gives the names below a folder, which ends in a slash, without it and
// in order.
func (o *objects) list(ctx context.Context, folder string) ([]string, error) {
	prefix := o.dir + "/" + folder
	var names []string
	for object, err := range o.store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		names = append(names, strings.TrimPrefix(object.Location, prefix))
	}
	return names, nil
}

// formatVersion is the version of the objects that this code writes.
const formatVersion = 1

// formatted is an object that says which format it has.
type formatted interface{ format() int }

// decodeObject reads an object's body. A member that this version does not know
// is ignored: who adds one that changes a meaning raises the format.
func decodeObject(name string, body []byte, into formatted) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, name, err)
	}
	if f := into.format(); f != formatVersion {
		return fmt.Errorf("%w: %s has format %d, this version of calve knows %d; update it", ErrCorrupt, name, f, formatVersion)
	}
	return nil
}

// backoff waits 50 ms, doubling to 5 s, or until ctx ends.
func backoff(ctx context.Context, attempt int) error {
	timer := time.NewTimer(min(50*time.Millisecond<<min(attempt, 10), 5*time.Second))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
