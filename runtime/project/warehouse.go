package project

import (
	"fmt"
	"net/url"
	"strings"
)

const defaultWarehouse = ".calve/warehouse"

// Warehouse says where tables are stored.
type Warehouse struct {
	Location        string // s3://bucket/prefix, file:///folder, or a folder relative to the project's
	Endpoint        string // of an S3 store that is not AWS
	Region          string
	PathStyle       *bool  // bucket in the path, not in the host name; nil: where Endpoint is given
	AccessKeyID     Secret // with SecretAccessKey; neither for the default AWS credential chain
	SecretAccessKey Secret
	SessionToken    Secret
}

// IsS3 tells whether the warehouse is in an S3 store.
func (w Warehouse) IsS3() bool { return strings.HasPrefix(w.Location, "s3://") }

var warehouseShape = either[Warehouse]{
	short: convert(shape[string](location), func(text string) Warehouse { return Warehouse{Location: text} }),
	long: object[Warehouse]{
		name: "warehouse",
		fields: []field[Warehouse]{
			key("location", location, func(w *Warehouse) *string { return &w.Location }, "s3://bucket/prefix or a folder, relative to the project's.").must(),
			key("endpoint", webURL, func(w *Warehouse) *string { return &w.Endpoint }, "URL of an S3 store that is not AWS."),
			key("region", nonEmpty, func(w *Warehouse) *string { return &w.Region }, "The bucket's region; the environment's by default."),
			key("path_style", optional(boolean), func(w *Warehouse) **bool { return &w.PathStyle }, "Put the bucket into the path instead of the host name, as MinIO wants it; true by default where an endpoint is given."),
			key("access_key_id", secret, func(w *Warehouse) *Secret { return &w.AccessKeyID }, "Static credentials; the default AWS credential chain without."),
			key("secret_access_key", secret, func(w *Warehouse) *Secret { return &w.SecretAccessKey }, "Static credentials."),
			key("session_token", secret, func(w *Warehouse) *Secret { return &w.SessionToken }, "Session token of temporary credentials."),
		},
		check: checkWarehouse,
	},
}

func checkWarehouse(r reader, w *Warehouse) {
	if w.AccessKeyID.IsZero() != w.SecretAccessKey.IsZero() {
		r.failHere("access_key_id and secret_access_key go together", "give both or neither")
	}
	if !w.SessionToken.IsZero() && w.AccessKeyID.IsZero() {
		r.failAt("session_token", "session_token needs access_key_id and secret_access_key", "give all three")
	}
	s3Only := w.Endpoint != "" || w.Region != "" || w.PathStyle != nil || !w.AccessKeyID.IsZero()
	if s3Only && !w.IsS3() {
		r.failAt("location", "endpoint, region, path_style and credentials are for s3:// locations", "give an s3:// location, or remove them")
	}
}

var location = patterned("a location such as s3://bucket/prefix or a folder", `^(s3://[^/]+.*|file:///.*|[^:]+)$`, func(text string) (string, error) {
	scheme, rest, hasScheme := strings.Cut(text, "://")
	switch {
	case !hasScheme && strings.TrimSpace(text) != "" && !strings.Contains(text, ":"):
		return text, nil
	case scheme == "s3a" || scheme == "s3n":
		return "", hintedError{fmt.Sprintf("%s:// is read by Hadoop alone", scheme), "write s3://"}
	case scheme == "s3" && rest != "" && rest[0] != '/':
		if u, err := url.Parse(text); err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return "", fmt.Errorf("expected s3://bucket/prefix and nothing else")
		}
		return strings.TrimRight(text, "/"), nil
	case scheme == "file" && strings.HasPrefix(rest, "/"):
		return text, nil
	}
	return "", hintedError{"expected s3://bucket/prefix, file:///folder or a folder", "other stores are not supported"}
})
