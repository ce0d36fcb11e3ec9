package main

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// answer is a store whose every CreateBucket ends in err.
type answer struct {
	err    error
	bucket string
}

func (a *answer) CreateBucket(_ context.Context, in *s3.CreateBucketInput, _ ...func(*s3.Options)) (*s3.CreateBucketOutput, error) {
	a.bucket = *in.Bucket
	return &s3.CreateBucketOutput{}, a.err
}

func TestEnsure(t *testing.T) {
	taken := &types.BucketAlreadyExists{}
	tests := []struct {
		name      string
		err, want error
	}{
		{name: "new bucket"},
		{name: "own bucket", err: &types.BucketAlreadyOwnedByYou{}},
		{name: "bucket of another owner", err: taken, want: taken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := &answer{err: test.err}
			if got := ensure(t.Context(), store, "lake"); !errors.Is(got, test.want) {
				t.Errorf("got error %v, want %v", got, test.want)
			}
			if store.bucket != "lake" {
				t.Errorf("got bucket %q, want lake", store.bucket)
			}
		})
	}
}
