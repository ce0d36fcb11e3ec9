package registry

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"
)

// maxReferences bounds what one schema may pull in. The largest sets of .proto
// files in use have some hundreds.
const maxReferences = 2000

// stored is a schema as the registry's API gives it, by id or by version.
type stored struct {
	Schema     string               `json:"schema"`
	SchemaType string               `json:"schemaType"` // Avro if empty
	References []sr.SchemaReference `json:"references"`
}

// resolution is the walk of one schema's references, depth first.
type resolution struct {
	client *Client
	id     int
	seen   map[string]sr.SchemaReference // by name
	path   []string                      // names from the schema to where the walk is
	done   []Reference
}

// resolve asks for a schema and, by subject and version, for all that it
// refers to.
func (c *Client) resolve(ctx context.Context, id int) (Schema, error) {
	var root stored
	q := question{id: id, path: "/schemas/ids/" + strconv.Itoa(id), schema: true}
	if err := c.ask(ctx, q, &root); err != nil {
		return Schema{}, err
	}
	if root.Schema == "" {
		return Schema{}, fmt.Errorf("schema id %d: the schema registry's answer has no schema in it; check that its URL is that of a Confluent-compatible API", id)
	}
	r := &resolution{client: c, id: id, seen: map[string]sr.SchemaReference{}}
	if err := r.walk(ctx, root.References); err != nil {
		return Schema{}, err
	}
	return Schema{ID: id, Type: typeOf(root.SchemaType), Text: root.Schema, References: r.done}, nil
}

// typeOf names the language of a schema. One that is not known stays as it is,
// for the decoder to refuse the record that has it.
func typeOf(text string) Type {
	if text == "" {
		return Avro
	}
	return Type(strings.ToUpper(text))
}

// walk puts references, and first what they refer to, at the end of done. Of a
// name that is met twice the first counts, as with Confluent's clients, which
// writers use.
func (r *resolution) walk(ctx context.Context, references []sr.SchemaReference) error {
	for _, ref := range references {
		if slices.Contains(r.path, ref.Name) {
			return fmt.Errorf("schema id %d: its references go in a circle, %s → %s; register a version of subject %s without it", r.id, strings.Join(r.path, " → "), ref.Name, ref.Subject)
		}
		if first, ok := r.seen[ref.Name]; ok {
			if first != ref {
				r.client.logger.Warn("schema refers to one name in two versions, the first is used", "schema", r.id, "name", ref.Name,
					"used", fmt.Sprintf("%s version %d", first.Subject, first.Version), "left_out", fmt.Sprintf("%s version %d", ref.Subject, ref.Version))
			}
			continue
		}
		if len(r.seen) == maxReferences {
			return fmt.Errorf("schema id %d: it refers to more than %d schemas; split it, or join the schemas that it imports", r.id, maxReferences)
		}
		r.seen[ref.Name] = ref
		if err := r.follow(ctx, ref); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolution) follow(ctx context.Context, ref sr.SchemaReference) error {
	version := strconv.Itoa(ref.Version)
	if ref.Version < 0 {
		version = "latest"
	}
	var found stored
	// A version that is deleted softly is still part of what refers to it.
	asked := question{
		id: r.id, reference: fmt.Sprintf("%s (subject %s, version %s)", ref.Name, ref.Subject, version),
		path: "/subjects/" + url.PathEscape(ref.Subject) + "/versions/" + version,
	}
	if err := r.client.ask(sr.WithParams(ctx, sr.ShowDeleted), asked, &found); err != nil {
		return err
	}
	r.path = append(r.path, ref.Name)
	if err := r.walk(ctx, found.References); err != nil {
		return err
	}
	r.path = r.path[:len(r.path)-1]
	r.done = append(r.done, Reference{Name: ref.Name, Text: found.Schema})
	return nil
}
