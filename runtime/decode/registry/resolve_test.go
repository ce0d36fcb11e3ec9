package registry_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/decode/registry/registrytest"
)

// answerWith gives the server a schema whose references are name@subject:version.
func answerWith(server *registrytest.Server, path, text string, references ...string) {
	var list []string
	for _, r := range references {
		name, rest, _ := strings.Cut(r, "@")
		subject, version, _ := strings.Cut(rest, ":")
		list = append(list, fmt.Sprintf(`{"name": %q, "subject": %q, "version": %s}`, name, subject, version))
	}
	server.Answer(path, http.StatusOK, fmt.Sprintf(`{"schema": %q, "references": [%s]}`, text, strings.Join(list, ", ")))
}

func names(references []registry.Reference) (out []string) {
	for _, r := range references {
		out = append(out, r.Name+"="+r.Text)
	}
	return out
}

// The schema needs a and b, both need c, and b needs d.
func TestReferencesComeOnceAndBeforeWhatNeedsThem(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	answerWith(server, "/schemas/ids/1", "root", "a@A:1", "b@B:2")
	answerWith(server, "/subjects/A/versions/1", "text a", "c@C:1")
	answerWith(server, "/subjects/B/versions/2", "text b", "c@C:1", "d@D:-1")
	answerWith(server, "/subjects/C/versions/1", "text c")
	answerWith(server, "/subjects/D/versions/latest", "text d")
	got := names(wantSchema(t, client, 1).References)
	if want := []string{"c=text c", "a=text a", "d=text d", "b=text b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := len(server.Requests()); got != 5 {
		t.Errorf("got %d requests, want one for each schema: %v", got, server.Requests())
	}
}

func TestReferencesThatGoInACircleAreRefused(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	answerWith(server, "/schemas/ids/1", "root", "a@A:1")
	answerWith(server, "/subjects/A/versions/1", "text a", "b@B:1")
	answerWith(server, "/subjects/B/versions/1", "text b", "a@A:1")
	wantError(t, client, 1, "schema id 1", "a → b → a", "subject A")
}

func TestOfANameInTwoVersionsTheFirstIsUsed(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	var log bytes.Buffer
	client, err := registry.Open(at(server), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answerWith(server, "/schemas/ids/1", "root", "a@A:1", "c@C:2")
	answerWith(server, "/subjects/A/versions/1", "text a", "c@C:1")
	answerWith(server, "/subjects/C/versions/1", "c, first version")
	answerWith(server, "/subjects/C/versions/2", "c, second version")
	got := names(wantSchema(t, client, 1).References)
	if want := []string{"c=c, first version", "a=text a"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !strings.Contains(log.String(), `left_out="C version 2"`) {
		t.Errorf("the log does not say what was left out: %s", log.String())
	}
}

func TestTooManyReferencesAreRefused(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	var references []string
	for n := range 2001 {
		references = append(references, fmt.Sprintf("n%d@S%d:1", n, n))
		answerWith(server, fmt.Sprintf("/subjects/S%d/versions/1", n), "text")
	}
	answerWith(server, "/schemas/ids/1", "root", references...)
	wantError(t, client, 1, "more than 2000 schemas")
}

func TestALostReferenceIsNotTheRecordsFault(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	answerWith(server, "/schemas/ids/1", "root", "a@lost:3")
	wantError(t, client, 1, "schema id 1", "subject lost, version 3", "register it again")
}

func TestWhatIsRegisteredIsFound(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{Prefix: "/apis/ccompat/v7"})
	client, _ := open(t, at(server))
	want := registry.Schema{
		Type: registry.Protobuf,
		Text: "syntax = \"proto3\";\nimport \"shop/common/price.proto\";\nmessage Order { Price price = 1; }\n",
		References: []registry.Reference{
			{Name: "shop/common/money.proto", Text: "syntax = \"proto3\";\nmessage Money { int64 cents = 1; }\n"},
			{Name: "shop/common/price.proto", Text: "syntax = \"proto3\";\nimport \"shop/common/money.proto\";\nmessage Price { Money net = 1; }\n"},
		},
	}
	id, err := client.Register(t.Context(), "orders-value", want)
	if err != nil {
		t.Fatal(err)
	}
	want.ID = id
	if got := wantSchema(t, client, id); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if again, err := client.Register(t.Context(), "orders-value", want); err != nil || again != id {
		t.Errorf("registered again: got %d, %v, want %d", again, err, id)
	}
}

func TestARefusedRegistrationSaysWhy(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	server.Answer("/subjects/orders-value/versions", http.StatusConflict, `{"error_code": 409, "message": "field id changed its type"}`)
	_, err := client.Register(t.Context(), "orders-value", registry.Schema{Text: order})
	wantParts(t, err, "subject orders-value", "field id changed its type", "compatibility level")
	if got := server.Requests(); len(got) != 1 {
		t.Errorf("got requests %v, want one", got)
	}
	if _, err := client.Register(t.Context(), "", registry.Schema{Text: order}); err == nil {
		t.Error("registered for no subject")
	}
}
