package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// Probe proves that a store keeps the promises that commits rest on, by
// writing a small object below dir and removing it again: a second create-only
// write to one name is refused (invariants 3 and 5), and what is written reads
// back and is listed at once. Its error names the promise that is not kept.
func Probe(ctx context.Context, store Store, dir string) (err error) {
	location := strings.TrimSuffix(dir, "/") + "/probe-" + rand.Text()
	first, second := []byte("first "+location), []byte("second "+location)
	if err := store.Put(ctx, location, first); err != nil {
		return fmt.Errorf("warehouse %s cannot be written (check that it exists and that the credentials "+
			"may write, read, list and delete below it): %w", store.Root(), err)
	}
	defer func() {
		if deleteErr := store.Delete(context.WithoutCancel(ctx), location); deleteErr != nil && err == nil {
			err = fmt.Errorf("warehouse %s does not let objects be deleted "+
				"(grant the credentials deletion below it): %w", store.Root(), deleteErr)
		}
	}()
	switch err := store.Put(ctx, location, second); {
	case err == nil:
		return fmt.Errorf("warehouse %s has no conditional writes: a second create-only write to %s was "+
			"accepted, so two writers could both commit one epoch; use a store that honours "+
			"If-None-Match: * on PUT (Amazon S3, MinIO, Cloudflare R2, a local disk)", store.Root(), location)
	case !errors.Is(err, ErrExists):
		return fmt.Errorf("warehouse %s neither accepted nor refused a second create-only write to %s: %w",
			store.Root(), location, err)
	}
	body, err := store.Get(ctx, location)
	if err != nil {
		return fmt.Errorf("warehouse %s does not give back an object just written "+
			"(commits need read-after-write): %w", store.Root(), err)
	}
	if !bytes.Equal(body, first) {
		return fmt.Errorf("warehouse %s changed an object although it refused the second write to %s; "+
			"its conditional writes cannot be relied on", store.Root(), location)
	}
	return probeListing(ctx, store, location)
}

func probeListing(ctx context.Context, store Store, location string) error {
	for object, err := range store.List(ctx, location) {
		if err != nil {
			return fmt.Errorf("warehouse %s cannot be listed (grant the credentials listing below it): %w",
				store.Root(), err)
		}
		if object.Location == location {
			return nil
		}
	}
	return fmt.Errorf("warehouse %s does not list an object just written; commits need listings that are "+
		"consistent after a write", store.Root())
}
