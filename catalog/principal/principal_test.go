package principal

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

func file(entries ...string) []byte {
	return []byte(`{"principals": [` + strings.Join(entries, ",") + `]}`)
}

func one(name, roles, token string) string {
	return fmt.Sprintf(`{"name": %q, "roles": [%s], "token_sha256": %q}`, name, roles, Hash(token))
}

func TestTokensTellWhoSendsARequest(t *testing.T) {
	s, err := Parse(file(one("ci", `"uploader","reader"`, "secret-a"), one("ops", `"operator"`, "secret-b")))
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"Bearer secret-a":            "ci",
		"bearer   secret-b":          "ops",
		"Bearer " + Hash("secret-a"): "", // the hash is no token
		"Bearer":                     "",
		"Bearer ":                    "",
		"Basic secret-a":             "",
		"secret-a":                   "",
		"":                           "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		p, err := s.Of(r)
		if p.Name != want || (want == "") != errors.Is(err, ErrUnknown) {
			t.Errorf("header %q: got %q, %v; want %q", header, p.Name, err, want)
		}
		if want == "ci" && (!p.May(Uploader) || !p.May(Reader) || p.May(Operator)) {
			t.Errorf("got roles %v", p.Roles)
		}
	}
}

func TestFilesAreReadStrictly(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no JSON":      {"principals:", "read principals"},
		"unknown key":  {`{"principals": [], "more": 1}`, "more"},
		"text after":   {string(file(one("a", `"reader"`, "x"))) + "x", "after"},
		"nobody":       {`{"principals": []}`, "nobody"},
		"no name":      {string(file(one("", `"reader"`, "x"))), "no name"},
		"no role":      {string(file(one("a", "", "x"))), "no roles"},
		"unknown role": {string(file(one("a", `"root"`, "x"))), `"root"`},
		"token itself": {`{"principals": [{"name": "a", "roles": ["reader"], "token_sha256": "secret"}]}`, "not the token"},
		"long hash":    {`{"principals": [{"name": "a", "roles": ["reader"], "token_sha256": "` + strings.Repeat("ab", 40) + `"}]}`, "64"},
		"same name":    {string(file(one("a", `"reader"`, "x"), one("a", `"reader"`, "y"))), "same name"},
		"same token":   {string(file(one("a", `"reader"`, "x"), one("b", `"reader"`, "x"))), "same name or token"},
	} {
		if _, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}
