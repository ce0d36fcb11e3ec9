package storage

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const codeNoBucket = "NoSuchBucket"

// verdict is what an answer to a conditional write says about the write.
type verdict int

const (
	// verdictUnknown: no answer, or one that a gateway or a failing server may
	// give after the write was carried out.
	verdictUnknown verdict = iota
	// verdictTaken: an object of that name exists.
	verdictTaken
	// verdictBusy: another conditional write to the name was under way and
	// this one did not happen.
	verdictBusy
	// verdictGone: the multipart upload does not exist (any more).
	verdictGone
	// verdictRefused: it did not happen, and will not if repeated.
	verdictRefused
)

// judge reads the answer to a conditional write.
func judge(err error) verdict {
	code, status := answer(err)
	switch {
	case code == "NoSuchUpload":
		return verdictGone
	case status == http.StatusPreconditionFailed:
		return verdictTaken
	case status == http.StatusConflict:
		return verdictBusy
	case errors.Is(sentinel(err), ErrPermission), errors.Is(sentinel(err), ErrNoSpace):
		return verdictRefused
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return verdictUnknown
	case status >= 400 && status < 500:
		return verdictRefused
	}
	return verdictUnknown
}

// mapS3 adds the sentinel that an answer stands for, if any. A missing bucket
// is not a missing object: a log in it is not empty but out of reach.
func mapS3(err error) error {
	if code, _ := answer(err); code == codeNoBucket {
		return fmt.Errorf("the bucket does not exist (create it, or correct the warehouse's location): %w", err)
	}
	return withSentinel(sentinel(err), err)
}

func withSentinel(sentinel, err error) error {
	if sentinel == nil {
		return err
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

func sentinel(err error) error {
	code, status := answer(err)
	if known := codeSentinel(code); known != nil {
		return known
	}
	if code == codeNoBucket {
		return nil
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrPermission
	case http.StatusNotFound:
		return ErrNotExist
	case http.StatusPreconditionFailed:
		return ErrExists
	case http.StatusInsufficientStorage:
		return ErrNoSpace
	}
	return nil
}

// codeSentinel knows error codes whose HTTP status is missing, as in the
// answer to DeleteObjects, or says less than the code does.
func codeSentinel(code string) error {
	switch code {
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
		"AllAccessDisabled", "AccountProblem":
		return ErrPermission
	case "NoSuchKey":
		return ErrNotExist
	case "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage":
		return ErrNoSpace
	}
	return nil
}

// answer is the error code and HTTP status of a reply, zero where none came.
func answer(err error) (code string, status int) {
	var api smithy.APIError
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	return code, status
}
