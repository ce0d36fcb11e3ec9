// Package examples carries the example projects inside the binary, so that
// calve demo works wherever the binary is.
package examples

import (
	"embed"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/calvelake/calve/examples/athlete"
	"github.com/calvelake/calve/examples/marketplace"
)

//go:embed weblog/calve.yaml weblog/models weblog/data weblog/plugins
//go:embed athlete/calve.yaml athlete/models
//go:embed shop/calve.yaml shop/models shop/data
//go:embed marketplace/calve.yaml marketplace/models marketplace/data
var files embed.FS

// Example is a project with the data to run it on.
type Example struct {
	Name    string
	Summary string
	Topics  []Topic
	Staged  []string // the tables that records end in, as namespace.table
	Shows   []Shown
	// Plugins are the modules that the project needs below plugins/, and the
	// folders of their source below the example.
	Plugins map[string]string
}

// Topic is data to produce.
type Topic struct {
	Name       string
	File       string // below the example, one record a line
	Partitions int
	// Recorded says that a line is a kafka.RecordedEvent, with key and timestamp.
	Recorded bool
	// Generate writes File, which the example has not; nil if it has.
	Generate func(io.Writer) error
	// Late is produced when what is not late has been run through.
	Late bool
}

// Shown is a table to show.
type Shown struct {
	Table   string   // namespace.table
	Columns []string // of its first rows; nil for all
	CountBy string   // a timestamp column to count rows by day of; "" for none
	Whole   bool     // all rows of a small table
	Early   bool     // before what is late is produced as well
}

var all = map[string]Example{
	"weblog": {
		Name:    "weblog",
		Summary: "a web server's access log, parsed by a WASM plugin and told apart into visits",
		Topics:  []Topic{{Name: "access_log", File: "data/access.log", Partitions: 3}},
		Staged:  []string{"staging.web_requests"},
		Shows: []Shown{
			{Table: "staging.web_requests", CountBy: "requested_at", Columns: []string{
				"client", "requested_at", "method", "path", "status", "bytes", "agent", "is_page",
			}},
			{Table: "intermediate.int_sessions", CountBy: "session_start", Columns: []string{
				"client", "agent", "session_start", "duration_seconds", "requests", "pages", "bytes", "entry_page", "exit_page", "is_bot",
			}},
		},
		Plugins: map[string]string{
			"plugins/parse_access_log.wasm": "plugin/parse_access_log",
			"plugins/bots.wasm":             "plugin/bots",
		},
	},
	"athlete": {
		Name:    "athlete",
		Summary: "frames of cameras, summed up to training sessions, and joined with what hearts did",
		Topics: []Topic{
			{Name: "pose_events", File: "data/pose_events.jsonl", Partitions: 2, Generate: athlete.Poses},
			{Name: "biometrics", File: "data/biometrics.jsonl", Partitions: 1, Generate: athlete.Biometrics},
			{Name: "pose_events", File: "data/pose_events_late.jsonl", Generate: athlete.LatePoses, Late: true},
			{Name: "biometrics", File: "data/biometrics_late.jsonl", Generate: athlete.LateBiometrics, Late: true},
		},
		Staged: []string{"staging.stg_pose_events", "staging.stg_biometrics"},
		Shows: []Shown{
			{Table: "intermediate.int_training_sessions", Whole: true, Columns: []string{
				"athlete_id", "session_id", "session_start", "duration_seconds", "frames", "repetitions", "deepest_knee_angle", "unsure_frames",
			}},
			{Table: "marts.fct_training_sessions", Whole: true, Early: true, Columns: []string{
				"athlete_id", "session_id", "session_start", "frames", "repetitions", "readings", "avg_heart_rate", "max_heart_rate",
			}},
		},
	},
	"shop": {
		Name:    "shop",
		Summary: "change streams of a database become a star schema with history",
		Topics: []Topic{
			{Name: "shop.public.customers", File: "data/customers.jsonl", Partitions: 3, Recorded: true},
			{Name: "shop.public.products", File: "data/products.jsonl", Partitions: 3, Recorded: true},
			{Name: "shop.public.orders", File: "data/orders.jsonl", Partitions: 3, Recorded: true},
			{Name: "shop.public.customers", File: "data/customers_late.jsonl", Recorded: true, Late: true},
		},
		Staged: []string{"staging.stg_customers", "staging.stg_products", "staging.stg_orders"},
		Shows: []Shown{
			{Table: "marts.dim_customers", Columns: []string{
				"customer_id", "customer_name", "email", "city", "valid_from", "valid_to", "is_current", "is_deleted",
			}},
			{Table: "marts.dim_products", Whole: true, Columns: []string{
				"product_id", "product_name", "category", "price", "is_deleted",
			}},
			{Table: "marts.fct_orders", Columns: []string{
				"order_id", "ordered_at", "order_date_key", "customer_city", "quantity", "total_amount", "is_deleted",
			}},
		},
	},
	"marketplace": {
		Name:    "marketplace",
		Summary: "watches of livestreams that are in several categories, by a bridge",
		Topics: []Topic{
			{Name: "marketplace.public.livestreams", File: "data/livestreams.jsonl", Partitions: 3, Recorded: true},
			{Name: "marketplace.public.categories", File: "data/categories.jsonl", Partitions: 3, Recorded: true},
			{Name: "marketplace.public.category_groups", File: "data/category_groups.jsonl", Partitions: 3, Recorded: true},
			{Name: "watches", File: "data/watches.jsonl", Partitions: 2, Generate: marketplace.Watches},
		},
		Staged: []string{"staging.stg_livestreams", "staging.stg_categories", "staging.stg_category_groups", "staging.stg_watches"},
		Shows: []Shown{
			{Table: "marts.dim_livestreams", Whole: true, Columns: []string{
				"livestream_id", "title", "host", "valid_from", "valid_to", "is_deleted", "is_inferred",
			}},
			{Table: "marts.dim_categories", Whole: true, Columns: []string{"category_id", "category_name", "category_key"}},
			{Table: "marts.map_category_groups", Whole: true, Columns: []string{"category_id", "group_name"}},
			{Table: "marts.bridge_livestream_categories", Whole: true, Columns: []string{
				"livestream_durable_key", "category_key", "weight", "valid_from", "valid_to",
			}},
			{Table: "marts.fct_watches", Columns: []string{
				"watch_id", "viewer", "started_at", "seconds", "livestream_key", "found_in_key", "found_in_group",
			}},
		},
	},
}

// Names lists the examples.
func Names() []string { return slices.Sorted(maps.Keys(all)) }

// Find returns an example and its files.
func Find(name string) (Example, fs.FS, bool) {
	e, ok := all[name]
	if !ok {
		return Example{}, nil, false
	}
	below, err := fs.Sub(files, name)
	return e, below, err == nil
}
