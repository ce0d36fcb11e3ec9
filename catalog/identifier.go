package catalog

import (
	"fmt"
	"strings"

	"github.com/apache/iceberg-go"
)

// Identifier names a table. Namespaces have a single level: Snowflake,
// ClickHouse, StarRocks and Trino need flags for more.
type Identifier struct {
	Namespace string
	Name      string
}

func (i Identifier) String() string { return i.Namespace + "." + i.Name }

// ParseIdentifier reads "namespace.table".
func ParseIdentifier(text string) (Identifier, error) {
	namespace, name, found := strings.Cut(text, ".")
	if !found || namespace == "" || name == "" || strings.Contains(name, ".") {
		return Identifier{}, fmt.Errorf("table %q: expected namespace.table", text)
	}
	return Identifier{Namespace: namespace, Name: name}, nil
}

// CreateSpec is a table to create.
type CreateSpec struct {
	Schema     *iceberg.Schema
	Spec       *iceberg.PartitionSpec // nil: unpartitioned
	Location   string                 // "": the catalog chooses
	Properties map[string]string
}
