package storage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	// partSize allows objects of 80 GB within S3's 10,000 parts, and is large
	// enough that the time of a part is transfer, not latency.
	partSize = 8 << 20
	// uploadSlots bounds the parts in flight of all writers together, and with
	// them memory: (slots + open writers) × part size at most.
	uploadSlots = 8
	// firstBuffer is what a writer starts with; many writers stay small.
	firstBuffer = 64 << 10

	writeAttempts = 4
	firstBackoff  = 50 * time.Millisecond
	backoffFactor = 4

	// writeIDKey is the user metadata that says which write made an object.
	writeIDKey = "calve-write"
)

// putObject creates an object by one conditional PUT.
func (s *S3) putObject(ctx context.Context, key string, body []byte) error {
	return s.put(ctx, key, rand.Text(), body)
}

func (s *S3) put(ctx context.Context, key, writeID string, body []byte) error {
	timeout := s.timeout + time.Duration(len(body)>>20)*time.Second // a slow line does 1 MiB/s
	return s.conditional(ctx, key, writeID, func() error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(body),
			IfNoneMatch: aws.String("*"), Metadata: map[string]string{writeIDKey: writeID},
		}, withoutRetries)
		return err
	})
}

// conditional repeats a create-only request until its outcome is known or the
// attempts are used up.
//
// The SDK must not repeat it by itself: after a lost reply its second attempt
// finds the object that the first one made, and would report our own success
// as ErrExists, which says that nothing happened (invariant 5). Here such an
// answer is settled by the write's id in the object's metadata.
func (s *S3) conditional(ctx context.Context, key, writeID string, request func() error) error {
	unknown := false // an earlier attempt may have happened
	backoff := firstBackoff
	for attempt := 1; ; attempt++ {
		err := request()
		if err == nil {
			return nil
		}
		switch v := judge(err); {
		case v == verdictTaken && !unknown:
			return fmt.Errorf("%w: %w", ErrExists, err)
		case v == verdictTaken, v == verdictGone:
			return s.settle(ctx, key, writeID, err)
		case v == verdictRefused && !unknown:
			return mapS3(err)
		case v == verdictRefused:
			return fmt.Errorf("%w: %v", ErrUnknown, err)
		case v == verdictUnknown:
			unknown = true
		}
		if attempt == writeAttempts || !pause(ctx, backoff) {
			if judge(err) == verdictBusy {
				return s.settle(ctx, key, writeID, err)
			}
			return fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		backoff *= backoffFactor
	}
}

// settle finds out whose object holds the name after a write that may have
// been ours. Only another's object proves that ours did not happen.
func (s *S3) settle(ctx context.Context, key, writeID string, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	head, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return fmt.Errorf("%w: %v; look for the object: %v", ErrUnknown, cause, err)
	}
	switch head.Metadata[writeIDKey] {
	case writeID:
		return nil
	case "": // a store that drops metadata, or a foreign writer
		return fmt.Errorf("%w: %v; the object there does not say who wrote it", ErrUnknown, cause)
	}
	return fmt.Errorf("%w: %v", ErrExists, cause)
}

// s3Writer is an object of an S3 being written: one PUT where it fits into a
// part, else a multipart upload whose completion is conditional.
type s3Writer struct {
	store    *S3
	ctx      context.Context
	cancel   context.CancelFunc
	location string
	key      string
	writeID  string
	done     bool

	buffer   []byte
	uploadID string
	next     int32 // number of the part before

	uploads sync.WaitGroup
	mu      sync.Mutex
	parts   []types.CompletedPart
	err     error // the first upload that failed
}

// Write appends to the object and uploads parts that are full.
func (w *s3Writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, fmt.Errorf("write %s: %w", w.location, fs.ErrClosed)
	}
	written := 0
	for written < len(p) {
		if len(w.buffer) == partSize {
			if err := w.flush(); err != nil {
				return written, fmt.Errorf("write %s: %w", w.location, err)
			}
		}
		w.grow(len(p) - written)
		n := min(len(p)-written, cap(w.buffer)-len(w.buffer))
		w.buffer = append(w.buffer, p[written:written+n]...)
		written += n
	}
	return written, nil
}

// Commit makes the object appear.
func (w *s3Writer) Commit() error {
	if w.done {
		return fmt.Errorf("commit %s: %w", w.location, fs.ErrClosed)
	}
	err := w.commit()
	w.done = true
	w.cancel()
	w.release()
	if err != nil {
		return fmt.Errorf("commit %s: %w", w.location, err)
	}
	return nil
}

// Abort drops what was written.
func (w *s3Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.cancel()
	w.uploads.Wait()
	w.release()
	w.abortUpload()
}

func (w *s3Writer) commit() error {
	if w.uploadID == "" {
		return w.store.put(w.ctx, w.key, w.writeID, w.buffer)
	}
	var err error
	if len(w.buffer) > 0 {
		err = w.flush()
	}
	w.uploads.Wait()
	if err == nil {
		err = w.failure()
	}
	if err != nil {
		w.abortUpload()
		return err
	}
	slices.SortFunc(w.parts, func(a, b types.CompletedPart) int { return cmp.Compare(*a.PartNumber, *b.PartNumber) })
	err = w.store.conditional(w.ctx, w.key, w.writeID, w.complete)
	// An upload whose completion is unknown is left alone: aborting it could
	// take away what a late request is still completing.
	if err != nil && !errors.Is(err, ErrUnknown) {
		w.abortUpload()
	}
	return err
}

func (w *s3Writer) complete() error {
	ctx, cancel := context.WithTimeout(w.ctx, w.store.timeout)
	defer cancel()
	_, err := w.store.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &w.store.bucket, Key: &w.key, UploadId: &w.uploadID, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: w.parts},
	}, withoutRetries)
	return err
}

// flush hands the buffer to an upload of its own.
func (w *s3Writer) flush() error {
	if err := w.failure(); err != nil {
		return err
	}
	if err := w.begin(); err != nil {
		return err
	}
	select {
	case w.store.slots <- struct{}{}:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	w.next++
	number, body := w.next, w.buffer
	w.buffer = nil
	w.uploads.Go(func() {
		defer func() { <-w.store.slots }()
		w.uploadPart(number, body)
		w.store.recycle(body)
	})
	return nil
}

func (w *s3Writer) begin() error {
	if w.uploadID != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, w.store.timeout)
	defer cancel()
	out, err := w.store.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &w.store.bucket, Key: &w.key, Metadata: map[string]string{writeIDKey: w.writeID},
	})
	if err != nil {
		return mapS3(err)
	}
	w.uploadID = aws.ToString(out.UploadId)
	return nil
}

func (w *s3Writer) uploadPart(number int32, body []byte) {
	ctx, cancel := context.WithTimeout(w.ctx, w.store.timeout)
	defer cancel()
	out, err := w.store.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &w.store.bucket, Key: &w.key, UploadId: &w.uploadID,
		PartNumber: &number, Body: bytes.NewReader(body),
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.parts = append(w.parts, types.CompletedPart{ETag: out.ETag, PartNumber: &number})
	case w.err == nil:
		w.err = fmt.Errorf("upload part %d: %w", number, mapS3(err))
	}
}

// abortUpload frees the parts of an upload. If that fails they stay until the
// bucket's lifecycle rule for unfinished uploads takes them.
func (w *s3Writer) abortUpload() {
	if w.uploadID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), w.store.timeout)
	defer cancel()
	_, _ = w.store.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &w.store.bucket, Key: &w.key, UploadId: &w.uploadID,
	})
}

func (w *s3Writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// grow makes room for more, doubling up to a part; whole parts come from the
// pool that all writers share.
func (w *s3Writer) grow(more int) {
	if cap(w.buffer) > len(w.buffer) {
		return
	}
	size := max(firstBuffer, 2*cap(w.buffer), len(w.buffer)+more)
	if w.uploadID != "" || size >= partSize {
		grown := w.store.buffers.Get().(*[partSize]byte)[:0]
		w.buffer = append(grown, w.buffer...)
		return
	}
	w.buffer = append(make([]byte, 0, size), w.buffer...)
}

func (w *s3Writer) release() {
	w.store.recycle(w.buffer)
	w.buffer = nil
}

func (s *S3) recycle(buffer []byte) {
	if cap(buffer) == partSize {
		s.buffers.Put((*[partSize]byte)(buffer[:partSize]))
	}
}

func withoutRetries(o *s3.Options) { o.Retryer = aws.NopRetryer{} }

// pause waits with some jitter, so that writers that collided part, and
// reports whether the context still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + mathrand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
