// Package principal tells who sends a request to one of Calve's HTTP interfaces
// and what they may do: bearer tokens, of which only hashes are kept, and roles.
package principal

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Role is what a principal may do. No role includes another.
type Role string

// The roles.
const (
	Reader   Role = "reader"   // look
	Uploader Role = "uploader" // add versions of plugins
	Operator Role = "operator" // promote and yank them
)

var roles = []Role{Reader, Uploader, Operator}

// Principal is someone who may send requests.
type Principal struct {
	Name  string `json:"name"`
	Roles []Role `json:"roles"`
}

// May tells whether the principal has a role.
func (p Principal) May(role Role) bool { return slices.Contains(p.Roles, role) }

// Set is principals by token. It does not change.
type Set struct{ entries []entry }

type entry struct {
	principal Principal
	token     [sha256.Size]byte
}

// ErrUnknown: a request has no token, or one that nobody has.
var ErrUnknown = errors.New("the bearer token is missing or unknown")

// Parse reads the principals of a JSON file:
//
//	{"principals": [{"name": "ci", "roles": ["uploader"], "token_sha256": "<hex>"}]}
//
// The file holds no secret; Hash makes what it needs of a token.
func Parse(text []byte) (*Set, error) {
	var file struct {
		Principals []struct {
			Principal
			Token string `json:"token_sha256"`
		} `json:"principals"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("read principals: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read principals: there is text after the object")
	}
	s := &Set{}
	for i, p := range file.Principals {
		one := entry{principal: p.Principal}
		n, err := hex.Decode(one.token[:], []byte(p.Token[:min(len(p.Token), 2*sha256.Size)]))
		switch {
		case p.Name == "":
			return nil, fmt.Errorf("principal %d has no name", i+1)
		case err != nil || n != sha256.Size || len(p.Token) != 2*sha256.Size:
			return nil, fmt.Errorf("principal %s: token_sha256 is not 64 hexadecimal digits; it is the SHA-256 of the token, not the token", p.Name)
		case len(p.Roles) == 0:
			return nil, fmt.Errorf("principal %s has no roles; give some of %v", p.Name, roles)
		}
		for _, role := range p.Roles {
			if !slices.Contains(roles, role) {
				return nil, fmt.Errorf("principal %s: there is no role %q; expected some of %v", p.Name, role, roles)
			}
		}
		for _, other := range s.entries {
			if other.principal.Name == one.principal.Name || other.token == one.token {
				return nil, fmt.Errorf("principals %s and %s have the same name or token", other.principal.Name, p.Name)
			}
		}
		s.entries = append(s.entries, one)
	}
	if len(s.entries) == 0 {
		return nil, errors.New("there are no principals: nobody could do anything")
	}
	return s, nil
}

// Hash is what the file holds of a token: its SHA-256 in hex. Tokens are to be
// random, of 128 bits or more, since a fast hash protects no others.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Of finds who sent a request, by its Authorization header, or fails with
// ErrUnknown. The time it takes tells nothing of the tokens.
func (s *Set) Of(r *http.Request) (Principal, error) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Principal{}, ErrUnknown
	}
	sum := sha256.Sum256([]byte(token))
	found := -1
	for i, e := range s.entries {
		if subtle.ConstantTimeCompare(e.token[:], sum[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Principal{}, ErrUnknown
	}
	return s.entries[found].principal, nil
}
