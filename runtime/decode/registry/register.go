package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/twmb/franz-go/pkg/sr"
)

// submitted is a schema as the registry's API takes it.
type submitted struct {
	Schema     string               `json:"schema"`
	SchemaType Type                 `json:"schemaType"`
	References []sr.SchemaReference `json:"references,omitempty"`
}

// Register makes a schema a version of a subject and returns its id; a schema
// that is a version already keeps its id. What it refers to is registered
// before it, each under its own name as the subject, as Confluent's
// serializers do by default.
func (c *Client) Register(ctx context.Context, subject string, s Schema) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	stop := context.AfterFunc(c.life, cancel)
	defer stop()
	if subject == "" || s.Text == "" {
		return 0, fmt.Errorf("register a schema: subject %q and a text of %d bytes; expected neither to be empty", subject, len(s.Text))
	}
	var references []sr.SchemaReference
	for _, r := range s.References {
		// Which of the earlier ones it needs is for its text to say.
		body := submitted{Schema: r.Text, SchemaType: s.Type, References: references}
		if _, err := c.post(ctx, r.Name, "/versions", body); err != nil {
			return 0, err
		}
		found, err := c.post(ctx, r.Name, "", body)
		if err != nil {
			return 0, err
		}
		references = append(references, sr.SchemaReference{Name: r.Name, Subject: r.Name, Version: found.Version})
	}
	registered, err := c.post(ctx, subject, "/versions", submitted{Schema: s.Text, SchemaType: s.Type, References: references})
	return registered.ID, err
}

// version is what the registry answers.
type version struct {
	ID      int `json:"id"`
	Version int `json:"version"`
}

func (c *Client) post(ctx context.Context, subject, below string, body submitted) (version, error) {
	if body.SchemaType == "" {
		body.SchemaType = Avro
	}
	var v version
	err := c.ask(ctx, question{method: http.MethodPost, path: "/subjects/" + url.PathEscape(subject) + below, body: body, subject: subject}, &v)
	return v, err
}
