package storagetest

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// S3Fault is how an S3Server treats one request.
type S3Fault int

const (
	S3OK        S3Fault = iota
	S3Forbid            // 403 AccessDenied
	S3Full              // 507 of a full MinIO
	S3Busy              // 409 ConditionalRequestConflict
	S3Error             // 500 before it is carried out
	S3Dropped           // carried out, then the connection breaks
	S3BreakBody         // of a GET, the body breaks off half-way
)

// S3Server speaks S3's REST protocol with path-style addresses: PutObject and
// CompleteMultipartUpload with If-None-Match, multipart uploads, GetObject with
// ranges, HeadObject, ListObjectsV2 in short pages, DeleteObjects. It checks no
// signatures. Set its fields before the first request.
type S3Server struct {
	*httptest.Server

	// Fault is asked for each request, by the name of the S3 operation.
	Fault func(operation, key string) S3Fault
	// IgnoreConditions makes it write over objects, as a store does that does
	// not know If-None-Match.
	IgnoreConditions bool

	mu      sync.Mutex
	buckets map[string]map[string]s3Object
	uploads map[string]*s3Upload
	nextID  int
}

type s3Object struct {
	body     []byte
	metadata http.Header
	modified time.Time
}

type s3Upload struct {
	metadata http.Header
	parts    map[int][]byte
}

const (
	s3PageSize       = 4 // entries of a listing, small so that paging is exercised
	s3MetadataPrefix = "X-Amz-Meta-"
)

// NewS3Server starts a server with those buckets, which ends with the test.
func NewS3Server(t testing.TB, buckets ...string) *S3Server {
	s := &S3Server{buckets: map[string]map[string]s3Object{}, uploads: map[string]*s3Upload{}}
	for _, bucket := range buckets {
		s.buckets[bucket] = map[string]s3Object{}
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// Uploads is the number of multipart uploads neither completed nor aborted.
func (s *S3Server) Uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// Keys lists a bucket's keys in order.
func (s *S3Server) Keys(bucket string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.buckets[bucket]))
}

func (s *S3Server) serve(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	operation := s3Operation(r, key)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	fault := S3OK
	if s.Fault != nil {
		fault = s.Fault(operation, key)
	}
	switch fault {
	case S3Forbid:
		s3Fail(w, http.StatusForbidden, "AccessDenied")
		return
	case S3Full:
		s3Fail(w, http.StatusInsufficientStorage, "XMinioStorageFull")
		return
	case S3Busy:
		s3Fail(w, http.StatusConflict, "ConditionalRequestConflict")
		return
	case S3Error:
		s3Fail(w, http.StatusInternalServerError, "InternalError")
		return
	case S3Dropped:
		s.carryOut(httptest.NewRecorder(), s3Request{r, operation, bucket, key, body})
		panic(http.ErrAbortHandler)
	case S3BreakBody:
		whole := httptest.NewRecorder()
		s.carryOut(whole, s3Request{r, operation, bucket, key, body})
		maps.Copy(w.Header(), whole.Header())
		w.WriteHeader(whole.Code)
		_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	s.carryOut(w, s3Request{r, operation, bucket, key, body})
}

type s3Request struct {
	*http.Request
	operation, bucket, key string
	body                   []byte
}

func s3Operation(r *http.Request, key string) string {
	q := r.URL.Query()
	switch {
	case key == "" && r.Method == http.MethodGet:
		return "ListObjectsV2"
	case key == "" && r.Method == http.MethodPost && q.Has("delete"):
		return "DeleteObjects"
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return "UploadPart"
	case r.Method == http.MethodPut:
		return "PutObject"
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return "CompleteMultipartUpload"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return "AbortMultipartUpload"
	case r.Method == http.MethodHead:
		return "HeadObject"
	case r.Method == http.MethodGet:
		return "GetObject"
	}
	return r.Method
}

func (s *S3Server) carryOut(w http.ResponseWriter, r s3Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	objects, ok := s.buckets[r.bucket]
	if !ok {
		s3Fail(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	switch r.operation {
	case "ListObjectsV2":
		s3List(w, r, objects)
	case "DeleteObjects":
		s3Delete(w, r, objects)
	case "PutObject":
		if s.free(w, r, objects) {
			objects[r.key] = s3Object{body: r.body, metadata: s3Metadata(r.Header), modified: time.Now()}
			w.Header().Set("ETag", s3ETag(r.body))
		}
	case "GetObject", "HeadObject":
		s3Get(w, r, objects)
	case "CreateMultipartUpload":
		s.nextID++
		id := fmt.Sprintf("upload-%d", s.nextID)
		s.uploads[id] = &s3Upload{metadata: s3Metadata(r.Header), parts: map[int][]byte{}}
		s3Reply(w, struct {
			XMLName               xml.Name `xml:"InitiateMultipartUploadResult"`
			Bucket, Key, UploadId string
		}{Bucket: r.bucket, Key: r.key, UploadId: id})
	case "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload":
		s.part(w, r, objects)
	default:
		s3Fail(w, http.StatusNotImplemented, "NotImplemented")
	}
}

// free reports whether a write may use its name, and answers if not.
func (s *S3Server) free(w http.ResponseWriter, r s3Request, objects map[string]s3Object) bool {
	_, taken := objects[r.key]
	if taken && r.Header.Get("If-None-Match") == "*" && !s.IgnoreConditions {
		s3Fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return false
	}
	return true
}

func (s *S3Server) part(w http.ResponseWriter, r s3Request, objects map[string]s3Object) {
	id := r.URL.Query().Get("uploadId")
	upload, ok := s.uploads[id]
	if !ok {
		s3Fail(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	switch r.operation {
	case "UploadPart":
		number, err := strconv.Atoi(r.URL.Query().Get("partNumber"))
		if err != nil {
			s3Fail(w, http.StatusBadRequest, "InvalidArgument")
			return
		}
		upload.parts[number] = r.body
		w.Header().Set("ETag", s3ETag(r.body))
	case "AbortMultipartUpload":
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case "CompleteMultipartUpload":
		if !s.free(w, r, objects) {
			return
		}
		body, code := upload.join(r.body)
		if code != "" {
			s3Fail(w, http.StatusBadRequest, code)
			return
		}
		delete(s.uploads, id)
		objects[r.key] = s3Object{body: body, metadata: upload.metadata, modified: time.Now()}
		s3Reply(w, struct {
			XMLName           xml.Name `xml:"CompleteMultipartUploadResult"`
			Bucket, Key, ETag string
		}{Bucket: r.bucket, Key: r.key, ETag: s3ETag(body)})
	}
}

// join puts the named parts together, by S3's rules: ascending numbers, the
// right ETags, and none but the last below 5 MiB.
func (u *s3Upload) join(request []byte) (body []byte, code string) {
	var list struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.Unmarshal(request, &list); err != nil || len(list.Part) == 0 {
		return nil, "MalformedXML"
	}
	last := 0
	for i, p := range list.Part {
		part, ok := u.parts[p.PartNumber]
		switch {
		case p.PartNumber <= last:
			return nil, "InvalidPartOrder"
		case !ok || s3ETag(part) != p.ETag:
			return nil, "InvalidPart"
		case len(part) < 5<<20 && i < len(list.Part)-1:
			return nil, "EntityTooSmall"
		}
		last = p.PartNumber
		body = append(body, part...)
	}
	return body, ""
}

func s3Get(w http.ResponseWriter, r s3Request, objects map[string]s3Object) {
	object, ok := objects[r.key]
	if !ok {
		s3Fail(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	maps.Copy(w.Header(), object.metadata)
	w.Header().Set("ETag", s3ETag(object.body))
	body, status := object.body, http.StatusOK
	if span := r.Header.Get("Range"); span != "" {
		var first, last int
		if _, err := fmt.Sscanf(span, "bytes=%d-%d", &first, &last); err != nil || first >= len(body) {
			s3Fail(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
			return
		}
		last = min(last, len(body)-1)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(body)))
		body, status = body[first:last+1], http.StatusPartialContent
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.operation == "GetObject" {
		_, _ = w.Write(body)
	}
}

func s3List(w http.ResponseWriter, r s3Request, objects map[string]s3Object) {
	type entry struct {
		Key          string
		Size         int
		LastModified string
	}
	reply := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Contents              []entry
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
	}{}
	q := r.URL.Query()
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if !strings.HasPrefix(key, q.Get("prefix")) || key <= q.Get("continuation-token") {
			continue
		}
		if len(reply.Contents) == s3PageSize {
			reply.IsTruncated = true
			reply.NextContinuationToken = reply.Contents[s3PageSize-1].Key
			break
		}
		object := objects[key]
		reply.Contents = append(reply.Contents,
			entry{key, len(object.body), object.modified.UTC().Format(time.RFC3339)})
	}
	s3Reply(w, reply)
}

func s3Delete(w http.ResponseWriter, r s3Request, objects map[string]s3Object) {
	var list struct {
		Object []struct{ Key string }
	}
	if err := xml.Unmarshal(r.body, &list); err != nil || len(list.Object) == 0 || len(list.Object) > 1000 {
		s3Fail(w, http.StatusBadRequest, "MalformedXML")
		return
	}
	for _, object := range list.Object {
		delete(objects, object.Key)
	}
	s3Reply(w, struct {
		XMLName xml.Name `xml:"DeleteResult"`
	}{})
}

func s3Metadata(h http.Header) http.Header {
	metadata := http.Header{}
	for name, values := range h {
		if strings.HasPrefix(name, s3MetadataPrefix) {
			metadata[name] = values
		}
	}
	return metadata
}

func s3ETag(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func s3Reply(w http.ResponseWriter, reply any) {
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(reply)
}

func s3Fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, url.PathEscape(code))
}
