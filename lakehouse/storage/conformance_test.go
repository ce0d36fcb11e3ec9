package storage_test

import (
	"testing"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/lakehouse/storage/storagetest"
)

func TestLocalKeepsTheContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		store, err := storage.OpenLocal(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return store
	})
}

func TestMemoryKeepsTheContract(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Store { return storage.NewMemory("mem://warehouse") })
}

func TestS3KeepsTheContract(t *testing.T) {
	t.Parallel()
	for _, location := range []string{"s3://lake", "s3://lake/some/prefix"} {
		t.Run(location, func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T) storage.Store {
				return openS3(t, storagetest.NewS3Server(t, "lake"), location)
			})
		})
	}
}

func openS3(t *testing.T, server *storagetest.S3Server, location string) *storage.S3 {
	t.Helper()
	store, err := storage.OpenS3(t.Context(), storage.S3Config{
		Location: location, Endpoint: server.URL, Region: "us-east-1",
		AccessKeyID: "someone", SecretAccessKey: "something",
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}
