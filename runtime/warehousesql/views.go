package warehousesql

import (
	"fmt"
	"strings"
)

// views are those of a table: current members of a dimension, the star of a fact.
func (r renderer) views(t Table) []Statement {
	var all []Statement
	if t.Dimension != nil && t.Dimension.Versions {
		all = append(all, r.current(t))
	}
	if t.Fact != nil {
		if star, ok := r.star(t); ok {
			all = append(all, star)
		}
	}
	return all
}

func (r renderer) create(t Table, suffix, body string) string {
	return fmt.Sprintf("CREATE OR REPLACE VIEW %s AS\n%s", r.view(r.project, t.Namespace, t.Name+suffix), body)
}

// current is the members as they are now, without those that are gone and the
// unknown one.
func (r renderer) current(t Table) Statement {
	body := fmt.Sprintf("SELECT *\nFROM %s\nWHERE %s AND NOT %s", r.table(r.project, t), r.quote("is_current"), r.quote("is_deleted"))
	if t.Dimension.Unknown != "" {
		body += fmt.Sprintf("\n  AND %s <> %s", r.quote(t.Dimension.Key), literal(t.Dimension.Unknown))
	}
	return Statement{Purpose: View, Model: t.Model, SQL: r.create(t, "_current", body)}
}

// star is a fact with the attributes of the members that it refers to, as they
// were at its time.
func (r renderer) star(t Table) (Statement, bool) {
	columns := []string{"f.*"}
	taken := map[string]bool{}
	for _, f := range t.Columns.Fields() {
		taken[f.Name] = true
	}
	var joins []string
	for i, k := range t.Fact.ForeignKeys {
		to, ok := r.tableOf(k.To)
		if !ok || to.Dimension == nil || k.Durable && !t.Columns.HasField(k.At) {
			continue // the table does not tell the time of the version
		}
		alias := fmt.Sprintf("d%d", i+1)
		joins = append(joins, fmt.Sprintf("LEFT JOIN %s AS %s\n  ON %s", r.table(r.project, to), alias, r.refers(k, to, alias)))
		for _, name := range to.Dimension.Attributes {
			shown := roleName(k.Name, name)
			if taken[shown] {
				continue // the fact has it, as it was when the fact was made
			}
			taken[shown] = true
			columns = append(columns, fmt.Sprintf("%s.%s AS %s", alias, r.quote(name), r.quote(shown)))
		}
	}
	if len(joins) == 0 {
		return Statement{}, false
	}
	body := fmt.Sprintf("SELECT\n  %s\nFROM %s AS f\n%s", strings.Join(columns, ",\n  "), r.table(r.project, t), strings.Join(joins, "\n"))
	return Statement{Purpose: View, Model: t.Model, SQL: r.create(t, "_star", body)}, true
}

// refers is the condition by which a foreign key finds one row at most.
func (r renderer) refers(k ForeignKey, to Table, alias string) string {
	of := func(name string) string { return alias + "." + r.quote(name) }
	key := "f." + r.quote(k.Name)
	if !k.Durable {
		return fmt.Sprintf("%s = %s", of(to.Dimension.Key), key)
	}
	on := fmt.Sprintf("%s = %s", of(to.Dimension.Durable), key)
	if !to.Dimension.Versions {
		return on
	}
	at := "f." + r.quote(k.At)
	return fmt.Sprintf("%s\n  AND %s >= %s\n  AND (%s < %s OR %s IS NULL)", on, at, of("valid_from"), at, of("valid_to"), of("valid_to"))
}

// roleName is an attribute's name in a star: customer_city of city by customer_key,
// and customer_name of customer_name.
func roleName(key, attribute string) string {
	role := strings.TrimSuffix(strings.TrimSuffix(key, "_key"), "_durable")
	if attribute == role || strings.HasPrefix(attribute, role+"_") {
		return attribute
	}
	return role + "_" + attribute
}
