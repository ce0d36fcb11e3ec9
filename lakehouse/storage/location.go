package storage

import (
	"fmt"
	"strings"
)

// Canonical gives the one spelling of a location that stores use: engines
// write file:/a and /a for file:///a, and s3a: or s3n: for s3:.
func Canonical(location string) string {
	switch {
	case strings.HasPrefix(location, "file:///"):
		return location
	case strings.HasPrefix(location, "file:/") && !strings.HasPrefix(location, "file://"):
		return "file://" + strings.TrimPrefix(location, "file:")
	case strings.HasPrefix(location, "/"):
		return "file://" + location
	case strings.HasPrefix(location, "s3a://"), strings.HasPrefix(location, "s3n://"):
		return "s3" + location[len("s3a"):]
	}
	return location
}

// Inside reports whether location names an object below root or root itself.
func Inside(root, location string) bool {
	if location == root {
		return true
	}
	_, err := relative(root, location)
	return err == nil
}

// relative is the part of an object's location below root, or ErrOutside.
func relative(root, location string) (string, error) {
	rest, ok := strings.CutPrefix(location, root+"/")
	if !ok {
		return "", fmt.Errorf("%s is not below %s: %w", location, root, ErrOutside)
	}
	if strings.ContainsRune(rest, 0) {
		return "", fmt.Errorf("%q holds a zero byte: %w", location, ErrOutside)
	}
	for element := range strings.SplitSeq(rest, "/") {
		if element == "" || element == "." || element == ".." {
			return "", fmt.Errorf("%s holds the path element %q: %w", location, element, ErrOutside)
		}
	}
	return rest, nil
}

// relativePrefix is the part of a listing's prefix below root. The root itself
// and the root with a slash list everything.
func relativePrefix(root, prefix string) (string, error) {
	if prefix == root {
		return "", nil
	}
	rest, ok := strings.CutPrefix(prefix, root+"/")
	if !ok {
		return "", fmt.Errorf("%s is not below %s: %w", prefix, root, ErrOutside)
	}
	for element := range strings.SplitSeq(rest, "/") {
		if element == "." || element == ".." {
			return "", fmt.Errorf("%s holds the path element %q: %w", prefix, element, ErrOutside)
		}
	}
	return rest, nil
}
