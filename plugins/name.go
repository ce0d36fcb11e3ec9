package plugins

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// maxName bounds the length of names, versions and channels.
const maxName = 64

var (
	nameText    = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	versionText = regexp.MustCompile(`^[0-9][a-z0-9._-]*$`)
)

// CheckName refuses what cannot be a plugin's name.
func CheckName(name string) error {
	if !nameText.MatchString(name) || len(name) > maxName {
		return fmt.Errorf("%w: plugin %q: expected a lower-case letter, then letters, digits, _ and -, %d at most", ErrName, name, maxName)
	}
	return nil
}

// CheckVersion refuses what cannot be a version. It begins with a digit, which
// tells it from a channel.
func CheckVersion(version string) error {
	if !versionText.MatchString(version) || len(version) > maxName {
		return fmt.Errorf("%w: version %q: expected a digit, then digits, lower-case letters, ., _ and -, %d at most, as 1.4.0", ErrName, version, maxName)
	}
	return nil
}

// CheckChannel refuses what cannot be a channel's name.
func CheckChannel(channel string) error {
	if !nameText.MatchString(channel) || len(channel) > maxName {
		return fmt.Errorf("%w: channel %q: expected a lower-case letter, then letters, digits, _ and -, %d at most, as stable", ErrName, channel, maxName)
	}
	return nil
}

// Ref names a module in the registry: one of Channel, Version and Digest is set.
type Ref struct {
	Name    string
	Channel string
	Version string
	Digest  string // hex SHA-256
}

const digestPrefix = "sha256:"

// ParseRef reads name@channel, name@version or name@sha256:<hex>.
func ParseRef(text string) (Ref, error) {
	name, which, ok := strings.Cut(text, "@")
	r := Ref{Name: name}
	if err := CheckName(name); err != nil {
		return r, err
	}
	if !ok || which == "" {
		return r, fmt.Errorf("%w: plugin reference %q: expected name@channel, name@version or name@sha256:<digest>", ErrName, text)
	}
	if digest, ok := strings.CutPrefix(which, digestPrefix); ok {
		r.Digest = digest
		return r, checkDigest(digest)
	}
	if which[0] >= '0' && which[0] <= '9' {
		r.Version = which
		return r, CheckVersion(which)
	}
	r.Channel = which
	return r, CheckChannel(which)
}

func (r Ref) String() string {
	switch {
	case r.Digest != "":
		return r.Name + "@" + digestPrefix + r.Digest
	case r.Version != "":
		return r.Name + "@" + r.Version
	}
	return r.Name + "@" + r.Channel
}

func checkDigest(digest string) error {
	if b, err := hex.DecodeString(digest); err != nil || len(b) != 32 || strings.ToLower(digest) != digest {
		return fmt.Errorf("%w: digest %q: expected 64 lower-case hexadecimal digits after %s", ErrName, digest, digestPrefix)
	}
	return nil
}
