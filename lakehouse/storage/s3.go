package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	// defaultTimeout bounds one request, its body included.
	defaultTimeout = 60 * time.Second
	// idleConnections covers the uploads, downloads and listings of one
	// process, so that none of them opens a connection for each request.
	idleConnections = 64
	// deleteBatch is the most that one DeleteObjects takes.
	deleteBatch = 1000
	// readAttempts is how often a body that breaks off is read again; the SDK
	// retries only up to the response's header.
	readAttempts = 3
)

// S3Config says where a warehouse on S3 or a store that speaks its protocol is.
type S3Config struct {
	Location        string // s3://bucket or s3://bucket/prefix
	Endpoint        string // empty for Amazon's own, else http://minio:9000 for example
	Region          string // empty: from the environment, else us-east-1
	PathStyle       *bool  // nil: true where Endpoint is set, which most other stores need
	AccessKeyID     string // empty: the SDK's default chain (environment, profile, role)
	SecretAccessKey string
	SessionToken    string
	HTTPClient      *http.Client  // nil: a pooled one
	Timeout         time.Duration // of one request, 60 s by default
}

// Validate reports what is missing or contradicts itself.
func (c S3Config) Validate() error {
	bucket, prefix, ok := splitS3(c.Location)
	if !ok || bucket == "" {
		return fmt.Errorf("warehouse location %q is not of the form s3://bucket/prefix", c.Location)
	}
	if prefix != "" {
		if _, err := relative("s3://"+bucket, "s3://"+bucket+"/"+prefix); err != nil {
			return fmt.Errorf("warehouse location %q: %w", c.Location, err)
		}
	}
	if (c.AccessKeyID == "") != (c.SecretAccessKey == "") {
		return fmt.Errorf("warehouse %s: access key id and secret access key go together: set both, "+
			"or neither to use the default credential chain", c.Location)
	}
	return nil
}

// S3 is a Store in a bucket. One client, and so one pool of connections and
// one set of cached credentials, serves all its requests.
type S3 struct {
	client  *s3.Client
	bucket  string
	root    string // s3://bucket/prefix
	timeout time.Duration
	slots   chan struct{} // parts being uploaded
	buffers sync.Pool     // of *[partSize]byte
}

// OpenS3 makes the client and finds credentials; it asks the bucket nothing
// (Probe does). The context bounds the search for credentials only.
func OpenS3(ctx context.Context, c S3Config) (*S3, error) {
	c.Location = strings.TrimRight(Canonical(c.Location), "/")
	if err := c.Validate(); err != nil {
		return nil, err
	}
	bucket, _, _ := splitS3(c.Location)
	cfg, err := awsConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("configure warehouse %s: %w", c.Location, err)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("%w: warehouse %s: find credentials (set an access key in the connection, "+
			"or AWS_ACCESS_KEY_ID, a profile or a role in the environment): %w", ErrPermission, c.Location, err)
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &S3{
		client: s3.NewFromConfig(cfg, c.options), bucket: bucket, root: c.Location, timeout: timeout,
		slots:   make(chan struct{}, uploadSlots),
		buffers: sync.Pool{New: func() any { return new([partSize]byte) }},
	}, nil
}

func awsConfig(ctx context.Context, c S3Config) (aws.Config, error) {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns = idleConnections
		t.MaxIdleConnsPerHost = idleConnections
	})
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(client)}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	if c.AccessKeyID != "" {
		options = append(options, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, err
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if c.HTTPClient != nil { // set late: with AWS_CA_BUNDLE the loader accepts only its own kind
		cfg.HTTPClient = c.HTTPClient
	}
	return cfg, nil
}

func (c S3Config) options(o *s3.Options) {
	o.DisableLogOutputChecksumValidationSkipped = true
	if c.Endpoint != "" {
		o.BaseEndpoint = aws.String(c.Endpoint)
		o.UsePathStyle = true
		// Stores other than Amazon's may not know the checksum trailers that
		// the SDK adds by itself; the signature's SHA-256 covers the body.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}
	if c.PathStyle != nil {
		o.UsePathStyle = *c.PathStyle
	}
}

// Root is the warehouse's location.
func (s *S3) Root() string { return s.root }

// Put creates an object by one request.
func (s *S3) Put(ctx context.Context, location string, body []byte) error {
	key, err := s.key(location)
	if err != nil {
		return fmt.Errorf("put %s: %w", location, err)
	}
	if err := s.putObject(ctx, key, body); err != nil {
		return fmt.Errorf("put %s: %w", location, err)
	}
	return nil
}

// Create begins an object.
func (s *S3) Create(ctx context.Context, location string) (Writer, error) {
	key, err := s.key(location)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", location, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	return &s3Writer{store: s, ctx: ctx, cancel: cancel, location: location, key: key, writeID: rand.Text()}, nil
}

// Get reads a whole object.
func (s *S3) Get(ctx context.Context, location string) ([]byte, error) {
	key, err := s.key(location)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", location, err)
	}
	var body bytes.Buffer
	err = s.read(ctx, key, nil, func(r io.Reader) error {
		body.Reset()
		_, err := body.ReadFrom(r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", location, err)
	}
	return body.Bytes(), nil
}

// Open opens an object for random reads, each of which is a ranged request.
func (s *S3) Open(ctx context.Context, location string) (Reader, error) {
	key, err := s.key(location)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", location, err)
	}
	callCtx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	head, err := s.client.HeadObject(callCtx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", location, mapS3(err))
	}
	return &s3Reader{ctx: ctx, store: s, key: key, location: location, size: aws.ToInt64(head.ContentLength)}, nil
}

// List yields the objects below a prefix, a page at a time. Keys that end in a
// slash are the folder markers of consoles, not objects of ours.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if _, err := relativePrefix(s.root, prefix); err != nil {
			yield(Object{}, fmt.Errorf("list %s: %w", prefix, err))
			return
		}
		base := "s3://" + s.bucket + "/"
		under := prefix
		if under == s.root { // and not of a sibling whose name begins alike
			under += "/"
		}
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{
			Bucket: &s.bucket, Prefix: aws.String(strings.TrimPrefix(under, base)),
		})
		for pages.HasMorePages() {
			callCtx, cancel := context.WithTimeout(ctx, s.timeout)
			page, err := pages.NextPage(callCtx)
			cancel()
			if err != nil {
				yield(Object{}, fmt.Errorf("list %s: %w", prefix, mapS3(err)))
				return
			}
			for _, entry := range page.Contents {
				key := aws.ToString(entry.Key)
				if strings.HasSuffix(key, "/") {
					continue
				}
				object := Object{
					Location: base + key, Size: aws.ToInt64(entry.Size), Modified: aws.ToTime(entry.LastModified),
				}
				if !yield(object, nil) {
					return
				}
			}
		}
	}
}

// Delete removes objects, a thousand by each request.
func (s *S3) Delete(ctx context.Context, locations ...string) error {
	ids := make([]types.ObjectIdentifier, 0, len(locations))
	for _, location := range locations {
		key, err := s.key(location)
		if err != nil {
			return fmt.Errorf("delete %s: %w", location, err)
		}
		ids = append(ids, types.ObjectIdentifier{Key: &key})
	}
	for len(ids) > 0 {
		n := min(len(ids), deleteBatch)
		if err := s.deleteBatch(ctx, ids[:n]); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

func (s *S3) deleteBatch(ctx context.Context, ids []types.ObjectIdentifier) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	out, err := s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: &s.bucket, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return fmt.Errorf("delete %d objects of s3://%s: %w", len(ids), s.bucket, mapS3(err))
	}
	var errs []error
	for _, e := range out.Errors {
		code := aws.ToString(e.Code)
		if code == "NoSuchKey" {
			continue
		}
		errs = append(errs, fmt.Errorf("delete s3://%s/%s: %w", s.bucket, aws.ToString(e.Key),
			withSentinel(codeSentinel(code), errors.New(code+": "+aws.ToString(e.Message)))))
	}
	return errors.Join(errs...)
}

// read fetches an object or a range of it, again where the body breaks off.
func (s *S3) read(ctx context.Context, key string, span *string, consume func(io.Reader) error) error {
	for attempt := 1; ; attempt++ {
		err := s.readOnce(ctx, key, span, consume)
		var broken *brokenBodyError
		if err == nil || !errors.As(err, &broken) || attempt == readAttempts || ctx.Err() != nil {
			return err
		}
	}
}

func (s *S3) readOnce(ctx context.Context, key string, span *string, consume func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key, Range: span})
	if err != nil {
		return mapS3(err)
	}
	defer out.Body.Close()
	if err := consume(out.Body); err != nil {
		return &brokenBodyError{err}
	}
	return nil
}

// key is an object's key in the bucket.
func (s *S3) key(location string) (string, error) {
	if _, err := relative(s.root, location); err != nil {
		return "", err
	}
	_, key, _ := splitS3(location)
	return key, nil
}

// s3Reader reads an object of an S3.
type s3Reader struct {
	ctx      context.Context
	store    *S3
	key      string
	location string
	size     int64
}

// ReadAt reads at an offset by one ranged request.
func (r *s3Reader) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("read %s: negative offset", r.location)
	}
	n := int(min(int64(len(p)), max(0, r.size-offset)))
	if n > 0 {
		span := fmt.Sprintf("bytes=%d-%d", offset, offset+int64(n)-1)
		err := r.store.read(r.ctx, r.key, &span, func(body io.Reader) error {
			_, err := io.ReadFull(body, p[:n])
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", r.location, err)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Size is the object's size in bytes.
func (r *s3Reader) Size() int64 { return r.size }

// Close ends reading; nothing is held.
func (r *s3Reader) Close() error { return nil }

// brokenBodyError is a response that broke off after its header.
type brokenBodyError struct{ err error }

func (e *brokenBodyError) Error() string { return "read body: " + e.err.Error() }
func (e *brokenBodyError) Unwrap() error { return e.err }

func splitS3(location string) (bucket, key string, ok bool) {
	rest, ok := strings.CutPrefix(location, "s3://")
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key, ok
}
