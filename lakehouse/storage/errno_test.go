package storage

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
)

func TestErrnoSentinels(t *testing.T) {
	for errno, want := range map[error]error{
		syscall.EEXIST:  ErrExists,
		syscall.ENOENT:  ErrNotExist,
		syscall.ENOTDIR: ErrNotExist,
		syscall.ENOSPC:  ErrNoSpace,
		syscall.EDQUOT:  ErrNoSpace,
		syscall.EACCES:  ErrPermission,
		syscall.EPERM:   ErrPermission,
		syscall.EROFS:   ErrPermission,
	} {
		err := mapErrno(&os.PathError{Op: "write", Path: "x", Err: errno})
		if !errors.Is(err, want) || !errors.Is(err, errno) {
			t.Errorf("mapErrno(%v) = %v, want both it and %v", errno, err, want)
		}
	}
	if mapErrno(nil) != nil || mapErrno(io.ErrUnexpectedEOF) != io.ErrUnexpectedEOF {
		t.Error("mapErrno changed an error that has no sentinel")
	}
}

func TestCanonicalLocations(t *testing.T) {
	for location, want := range map[string]string{
		"file:///a/b":  "file:///a/b",
		"file:/a/b":    "file:///a/b",
		"/a/b":         "file:///a/b",
		"s3a://lake/x": "s3://lake/x",
		"s3n://lake/x": "s3://lake/x",
		"s3://lake/x":  "s3://lake/x",
		"mem://w/x":    "mem://w/x",
		"relative/x":   "relative/x",
	} {
		if got := Canonical(location); got != want {
			t.Errorf("Canonical(%q) = %q, want %q", location, got, want)
		}
	}
}
