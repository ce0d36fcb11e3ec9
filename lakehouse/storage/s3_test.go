package storage_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/lakehouse/storage/storagetest"
)

const large = 17 << 20 // three parts

// faults answers the named operation with the given faults in turn, and then
// with none.
func faults(operation string, turns ...storagetest.S3Fault) func(string, string) storagetest.S3Fault {
	var mu sync.Mutex
	return func(op, _ string) storagetest.S3Fault {
		mu.Lock()
		defer mu.Unlock()
		if op != operation || len(turns) == 0 {
			return storagetest.S3OK
		}
		next := turns[0]
		turns = turns[1:]
		return next
	}
}

func write(s storage.Store, at string, body []byte) error {
	w, err := s.Create(context.Background(), at)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(body); err != nil {
		return err
	}
	return w.Commit()
}

func TestS3WriteWhoseReplyIsLostSucceeds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		operation string
		size      int
	}{
		{"PutObject", 10},
		{"CompleteMultipartUpload", large},
		{"UploadPart", large},
	} {
		t.Run(test.operation, func(t *testing.T) {
			server := storagetest.NewS3Server(t, "lake")
			server.Fault = faults(test.operation, storagetest.S3Dropped)
			s := openS3(t, server, "s3://lake/w")
			body := bytes.Repeat([]byte{7}, test.size)
			if err := write(s, "s3://lake/w/x", body); err != nil {
				t.Fatalf("write = %v, want success: the object is there and it is ours", err)
			}
			got, err := s.Get(t.Context(), "s3://lake/w/x")
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("Get = %d bytes, %v, want %d", len(got), err, len(body))
			}
			if n := server.Uploads(); n != 0 {
				t.Errorf("%d uploads left over, want 0", n)
			}
		})
	}
}

func TestS3WriteIsUnknownWhenNoReplyComes(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]storagetest.S3Fault{"dropped": storagetest.S3Dropped, "failing": storagetest.S3Error} {
		t.Run(name, func(t *testing.T) {
			server := storagetest.NewS3Server(t, "lake")
			server.Fault = func(op, _ string) storagetest.S3Fault {
				if op == "PutObject" || op == "HeadObject" {
					return fault
				}
				return storagetest.S3OK
			}
			err := openS3(t, server, "s3://lake").Put(t.Context(), "s3://lake/x", []byte("x"))
			if !errors.Is(err, storage.ErrUnknown) || errors.Is(err, storage.ErrExists) {
				t.Errorf("Put = %v, want ErrUnknown and not ErrExists", err)
			}
		})
	}
}

func TestS3WriteThatFailedOnceAndThenMetAnothersObjectExists(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3Server(t, "lake")
	s := openS3(t, server, "s3://lake")
	if err := s.Put(t.Context(), "s3://lake/x", []byte("theirs")); err != nil {
		t.Fatal(err)
	}
	server.Fault = faults("PutObject", storagetest.S3Error)
	if err := s.Put(t.Context(), "s3://lake/x", []byte("ours")); !errors.Is(err, storage.ErrExists) {
		t.Errorf("Put = %v, want ErrExists", err)
	}
}

func TestS3BusyNameIsTriedAgain(t *testing.T) {
	t.Parallel()
	for operation, size := range map[string]int{"PutObject": 10, "CompleteMultipartUpload": large} {
		server := storagetest.NewS3Server(t, "lake")
		server.Fault = faults(operation, storagetest.S3Busy)
		if err := write(openS3(t, server, "s3://lake"), "s3://lake/x", make([]byte, size)); err != nil {
			t.Errorf("%s after one 409 = %v, want success", operation, err)
		}
	}
}

func TestS3RefusalsHaveTheirSentinels(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		operation string
		fault     storagetest.S3Fault
		size      int
		want      error
	}{
		{"PutObject", storagetest.S3Forbid, 10, storage.ErrPermission},
		{"PutObject", storagetest.S3Full, 10, storage.ErrNoSpace},
		{"CreateMultipartUpload", storagetest.S3Forbid, large, storage.ErrPermission},
		{"UploadPart", storagetest.S3Forbid, large, storage.ErrPermission},
		{"CompleteMultipartUpload", storagetest.S3Forbid, large, storage.ErrPermission},
	} {
		t.Run(test.operation, func(t *testing.T) {
			server := storagetest.NewS3Server(t, "lake")
			server.Fault = faults(test.operation, test.fault)
			err := write(openS3(t, server, "s3://lake"), "s3://lake/x", make([]byte, test.size))
			if !errors.Is(err, test.want) {
				t.Errorf("write = %v, want %v", err, test.want)
			}
			if keys, uploads := server.Keys("lake"), server.Uploads(); len(keys)+uploads != 0 {
				t.Errorf("left %q and %d uploads, want nothing", keys, uploads)
			}
		})
	}
}

func TestS3ForbiddenReadsArePermissionErrors(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3Server(t, "lake")
	server.Fault = func(string, string) storagetest.S3Fault { return storagetest.S3Forbid }
	s := openS3(t, server, "s3://lake")
	check := func(what string, err error) {
		if !errors.Is(err, storage.ErrPermission) {
			t.Errorf("%s = %v, want ErrPermission", what, err)
		}
	}
	_, err := s.Get(t.Context(), "s3://lake/x")
	check("Get", err)
	_, err = s.Open(t.Context(), "s3://lake/x")
	check("Open", err)
	check("Delete", s.Delete(t.Context(), "s3://lake/x"))
	for _, err := range s.List(t.Context(), "s3://lake") {
		check("List", err)
	}
	check("Probe", storage.Probe(t.Context(), s, "s3://lake/probe"))
}

func TestS3BrokenBodiesAreReadAgain(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3Server(t, "lake")
	s := openS3(t, server, "s3://lake")
	if err := s.Put(t.Context(), "s3://lake/x", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	server.Fault = faults("GetObject", storagetest.S3BreakBody, storagetest.S3BreakBody)
	if got, err := s.Get(t.Context(), "s3://lake/x"); string(got) != "0123456789" {
		t.Errorf("Get = %q, %v, want the whole object", got, err)
	}
	r, err := s.Open(t.Context(), "s3://lake/x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	server.Fault = faults("GetObject", storagetest.S3BreakBody)
	p := make([]byte, 4)
	if _, err := r.ReadAt(p, 3); string(p) != "3456" {
		t.Errorf("ReadAt = %q, %v, want %q", p, err, "3456")
	}
}

func TestS3MissingBucketIsNotAMissingObject(t *testing.T) {
	t.Parallel()
	s := openS3(t, storagetest.NewS3Server(t), "s3://lake")
	_, err := s.Get(t.Context(), "s3://lake/x")
	if err == nil || errors.Is(err, storage.ErrNotExist) {
		t.Errorf("Get from a missing bucket = %v, want an error that is not ErrNotExist", err)
	}
	if err := storage.Probe(t.Context(), s, "s3://lake/p"); err == nil || !strings.Contains(err.Error(), "create it") {
		t.Errorf("Probe of a missing bucket = %v, want one that says what to do", err)
	}
}

func TestS3UnreachableStoreIsUnknown(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3Server(t, "lake")
	s := openS3(t, server, "s3://lake")
	server.Close()
	if err := s.Put(t.Context(), "s3://lake/x", nil); !errors.Is(err, storage.ErrUnknown) {
		t.Errorf("Put = %v, want ErrUnknown", err)
	}
}

func TestProbeRefusesStoresWithoutConditionalWrites(t *testing.T) {
	server := storagetest.NewS3Server(t, "lake")
	server.IgnoreConditions = true
	memory := storage.NewMemory("mem://w")
	memory.IgnoreConditions()
	for _, s := range []storage.Store{openS3(t, server, "s3://lake"), memory} {
		err := storage.Probe(t.Context(), s, s.Root()+"/_calve")
		if err == nil || !strings.Contains(err.Error(), "has no conditional writes") {
			t.Errorf("Probe(%s) = %v, want it to name the missing guarantee", s.Root(), err)
		}
		for object := range s.List(t.Context(), s.Root()) {
			t.Errorf("the probe left %s", object.Location)
		}
	}
}

func TestS3DeletesInBatches(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3Server(t, "lake")
	var mu sync.Mutex
	requests := 0
	server.Fault = func(op, _ string) storagetest.S3Fault {
		mu.Lock()
		defer mu.Unlock()
		if op == "DeleteObjects" {
			requests++
		}
		return storagetest.S3OK
	}
	s := openS3(t, server, "s3://lake")
	if err := s.Put(t.Context(), "s3://lake/2500", nil); err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range 2501 {
		all = append(all, "s3://lake/"+string(rune('a'+i%26))+strings.Repeat("x", i/26))
	}
	all[2500] = "s3://lake/2500"
	if err := s.Delete(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	if requests != 3 || len(server.Keys("lake")) != 0 {
		t.Errorf("%d requests left %q, want 3 and nothing", requests, server.Keys("lake"))
	}
}

func TestS3ListsItsPrefixOnly(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3Server(t, "lake")
	for _, at := range []string{"s3://lake/w", "s3://lake/w2"} {
		if err := openS3(t, server, at).Put(t.Context(), at+"/x", nil); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for object, err := range openS3(t, server, "s3://lake/w/").List(t.Context(), "s3://lake/w") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, object.Location)
	}
	if want := []string{"s3://lake/w/x"}; !slices.Equal(got, want) {
		t.Errorf("List = %q, want %q", got, want)
	}
}

func TestS3ConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]storage.S3Config{
		"no location":     {},
		"another scheme":  {Location: "gs://lake"},
		"no bucket":       {Location: "s3:///x"},
		"a path upwards":  {Location: "s3://lake/../x"},
		"key, no secret":  {Location: "s3://lake", AccessKeyID: "a"},
		"secret, no key":  {Location: "s3://lake", SecretAccessKey: "hush"},
		"an empty folder": {Location: "s3://lake/a//b"},
	} {
		_, err := storage.OpenS3(t.Context(), c)
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("OpenS3 with %s = %v, want an error without the secret", name, err)
		}
	}
}

func TestS3AddressesBucketsByPathOrHost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pathStyle *bool
		want      string
	}{
		{nil, "store.test/lake/x"},
		{new(true), "store.test/lake/x"},
		{new(false), "lake.store.test/x"},
	} {
		var got string
		s, err := storage.OpenS3(t.Context(), storage.S3Config{
			Location: "s3://lake", Endpoint: "http://store.test", Region: "r", PathStyle: test.pathStyle,
			AccessKeyID: "a", SecretAccessKey: "b",
			HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				got = r.URL.Host + r.URL.Path
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "s3://lake/x"); err != nil || got != test.want {
			t.Errorf("asked %q, %v, want %q", got, err, test.want)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
