package daemon

import (
	"testing"

	"github.com/calvelake/calve/runtime/project"
)

// Engines must be told of the bucket what our own client assumes of it.
func TestEnginesAreToldWhereTheBucketIs(t *testing.T) {
	no := false
	for name, c := range map[string]struct {
		warehouse project.Warehouse
		want      string
	}{
		"endpoint alone":         {project.Warehouse{Location: "s3://b", Endpoint: "http://m:9000"}, "true"},
		"endpoint, host style":   {project.Warehouse{Location: "s3://b", Endpoint: "http://m:9000", PathStyle: &no}, "false"},
		"the vendor's own store": {project.Warehouse{Location: "s3://b"}, ""},
	} {
		config := tableConfig(c.warehouse)
		if got := config["s3.path-style-access"]; got != c.want {
			t.Errorf("%s: path style %q, want %q", name, got, c.want)
		}
		if got := config["s3.endpoint"]; got != c.warehouse.Endpoint {
			t.Errorf("%s: endpoint %q", name, got)
		}
	}
	if config := tableConfig(project.Warehouse{Location: "/lake"}); config != nil {
		t.Errorf("a local warehouse has %v", config)
	}
}
