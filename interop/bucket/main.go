// Command bucket makes a bucket in an S3 compatible store, so that the interop
// harness needs no client program of a vendor. It succeeds when the caller owns the
// bucket already. Credentials come from the environment (AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// timeout covers all of the client's own retries.
const timeout = 30 * time.Second

func main() {
	endpoint := flag.String("endpoint", "", "URL of the store")
	region := flag.String("region", "us-east-1", "region that requests are signed for")
	bucket := flag.String("bucket", "", "name of the bucket")
	flag.Parse()

	client := s3.New(s3.Options{
		BaseEndpoint: endpoint,
		Region:       *region,
		UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	})
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := ensure(ctx, client, *bucket); err != nil {
		fmt.Fprintln(os.Stderr, "bucket:", err)
		os.Exit(1)
	}
}

// creator is the one request of the S3 client that ensure makes.
type creator interface {
	CreateBucket(context.Context, *s3.CreateBucketInput, ...func(*s3.Options)) (*s3.CreateBucketOutput, error)
}

// ensure creates the bucket unless the caller owns it already.
func ensure(ctx context.Context, client creator, bucket string) error {
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	if owned := (*types.BucketAlreadyOwnedByYou)(nil); errors.As(err, &owned) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create bucket %s: %w", bucket, err)
	}
	return nil
}
