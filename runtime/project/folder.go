package project

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// folderPattern is a folder below models/, with slashes.
const folderPattern = `^[^/]+(/[^/]+)*$`

var folder = patterned("a folder below models/", folderPattern, func(text string) (string, error) {
	if text == "" || text != path.Clean(text) || strings.HasPrefix(text, "/") || strings.HasPrefix(text, "..") || text == "." {
		return "", fmt.Errorf("%q is no folder below models/, expected a path such as marts or marts/finance", excerpt(text))
	}
	return text, nil
}).literal()

// timezone is a name of the IANA time zone database.
var timezone = patterned(aTimezone, `^[A-Za-z][A-Za-z0-9_+/-]*$`, func(text string) (string, error) {
	if text == "" || text == "Local" {
		return "", fmt.Errorf("%q is no fixed time zone, expected %s", text, aTimezone)
	}
	if _, err := time.LoadLocation(text); err != nil {
		return "", hintedError{fmt.Sprintf("unknown time zone %q", excerpt(text)), "use a name of the IANA time zone database, as Europe/Berlin"}
	}
	return text, nil
})

const aTimezone = "a time zone such as Europe/Berlin or UTC"

// applyDefaults fills in what a model leaves to its folder, and what no folder
// says.
func (c *checker) applyDefaults(m *Model) {
	m.Namespace, m.Materialized, m.OnSchemaChange = m.given.namespace, m.given.materialized, m.given.onSchemaChange
	contract := m.given.contract
	inside := strings.TrimPrefix(path.Dir(m.File), modelsFolder)
	inside = strings.TrimPrefix(inside, "/")
	for at := inside; at != "" && at != "."; at = path.Dir(at) {
		d := c.project.Defaults[at]
		m.Namespace = or(m.Namespace, d.Namespace)
		if m.Materialized == "" && m.canBeEphemeral() {
			m.Materialized = d.Materialized
		}
		if m.OnSchemaChange == "" {
			m.OnSchemaChange = d.OnSchemaChange
		}
		if contract == nil {
			contract = d.Contract
		}
	}
	if m.Materialized == "" {
		m.Materialized = MaterializedTable
	}
	if m.OnSchemaChange == "" {
		m.OnSchemaChange = SchemaChangeIgnore
	}
	if contract != nil {
		m.Contract = *contract
	}
	c.setNamespace(m, inside)
}

// canBeEphemeral tells whether the kind may do without a table: the keyed
// models that others look up need theirs.
func (m *Model) canBeEphemeral() bool {
	return m.Kind == KindStaging || m.Kind == KindSession || m.Kind == KindMap
}

// setNamespace gives a model without a namespace that of its folder, or the
// project's name, and refuses the ones that Calve keeps for itself.
func (c *checker) setNamespace(m *Model, inside string) {
	if m.Namespace == "" {
		top, _, _ := strings.Cut(inside, "/")
		m.Namespace = or(top, c.project.Name)
		if m.Namespace == "" { // the project has no valid name, which is reported
			return
		}
		if _, err := parseName(m.Namespace); err != nil {
			c.fail("name", fmt.Sprintf("the folder's name %q cannot be a namespace", m.Namespace), "give the model a namespace, or the folder one in calve.yaml under models")
			return
		}
	}
	if strings.HasPrefix(m.Namespace, reservedNamespace) {
		c.fail("namespace", fmt.Sprintf("namespace %s is reserved: names that begin with %s hold dead letters and the audit table", m.doc.quote("namespace", m.Namespace), reservedNamespace), "choose another")
	}
}

const reservedNamespace = "calve_"

// checkFolders reports defaults for folders that do not exist.
func (c *checker) checkFolders(folders []string) {
	for _, name := range sortedKeys(c.project.Defaults) {
		if !slices.Contains(folders, name) {
			c.errs.add(c.project.doc.problem("models."+name+atKey, fmt.Sprintf("there is no folder %q below models/, expected one of %s", name, or(listed(folders), "none, since models/ has no folders")), didYouMean(name, folders)))
		}
	}
}
