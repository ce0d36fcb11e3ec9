package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/project"
)

// runAsCalve makes the test binary behave as calve, so that tests see what a
// shell sees: exit codes, standard output and standard error.
const runAsCalve = "CALVE_TEST_RUN_AS_CALVE"

func TestMain(m *testing.M) {
	if os.Getenv(runAsCalve) != "" {
		main()
	}
	os.Exit(m.Run())
}

// outcome is how a command ended.
type outcome struct {
	code        int
	out, errors string
}

func calve(t *testing.T, input string, args ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), runAsCalve+"=1")
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// mustCalve runs a command that succeeds and returns its output.
func mustCalve(t *testing.T, input string, args ...string) string {
	t.Helper()
	o := calve(t, input, args...)
	if o.code != exitOK {
		t.Fatalf("calve %s: exit code %d\n%s", strings.Join(args, " "), o.code, o.errors)
	}
	return o.out
}

// writeProject writes a project of one model on an embedded broker that takes
// any free port.
func writeProject(t *testing.T, model string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"calve.yaml": "name: shop\nconfig_version: 1\nconnections:\n" +
			"  kafka: {embedded: {listen: \"127.0.0.1:0\"}}\n  catalog: {listen: \"127.0.0.1:0\"}\n",
		"models/sources.yaml": "sources:\n  - name: shop\n    tables: [{name: orders, topic: orders}]\n",
		"models/orders.yaml":  model,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const ordersModel = `name: orders
kind: staging
from: source.shop.orders
columns:
  - {name: id, data_type: long, nullable: false}
  - {name: item, data_type: string}
`

func TestWrongCommandLinesExitWith2(t *testing.T) {
	for _, args := range [][]string{
		{"nothing"},
		{"table", "lisst"},
		{"run", "extra"},
		{"run", "--unknown"},
		{"run", "--output", "xml"},
		{"run", "--log-level", "loud"},
		{"produce"},
		{"table", "show"},
		{"table", "sample", "no-namespace", "--project", "PROJECT"},
		{"demo", "--example", "nothing"},
	} {
		if slices.Contains(args, "PROJECT") {
			args[slices.Index(args, "PROJECT")] = writeProject(t, ordersModel)
		}
		o := calve(t, "", args...)
		if o.code != exitUsage || !strings.HasPrefix(o.errors, "calve: ") || o.out != "" {
			t.Errorf("calve %s: got exit code %d, output %q, errors %q; want %d and an error alone", strings.Join(args, " "), o.code, o.out, o.errors, exitUsage)
		}
	}
}

func TestUnknownCommandsAreAnsweredWithTheNearest(t *testing.T) {
	if o := calve(t, "", "table", "lisst"); !strings.Contains(o.errors, "did you mean list?") {
		t.Errorf("got %q, want the nearest command", o.errors)
	}
	if o := calve(t, "", "table"); o.code != exitOK || !strings.Contains(o.out, "sample") {
		t.Errorf("got exit code %d, output %q; want the commands below", o.code, o.out)
	}
}

func TestProjectErrorsExitWith2AndSayWhere(t *testing.T) {
	dir := writeProject(t, strings.Replace(ordersModel, "data_type: long", "data_type: longer", 1))
	for _, args := range [][]string{{"plan"}, {"run", "--once"}, {"table", "list"}} {
		o := calve(t, "", append(args, "--project", dir)...)
		if o.code != exitUsage || !strings.Contains(o.errors, "models/orders.yaml:5:") || !strings.Contains(o.errors, "long") {
			t.Errorf("calve %v: got exit code %d, errors %q; want %d and file:line:column", args, o.code, o.errors, exitUsage)
		}
	}
}

func TestMissingProjectIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	o := calve(t, "", "run", "--once", "--project", dir)
	if o.code != exitUsage || !strings.Contains(o.errors, "calve.yaml") {
		t.Errorf("got exit code %d, errors %q; want %d naming the file", o.code, o.errors, exitUsage)
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{usageError{errors.New("x")}, exitUsage},
		{project.Errors{}, exitUsage},
		{lakehouse.ErrFenced, exitFenced},
		{lakehouse.ErrNotCommitted, exitNotCommitted},
		{lakehouse.ErrUndecided, exitNotCommitted},
		{errors.New("anything else"), exitFailure},
	} {
		if got := exitCode(errors.Join(errors.New("while running"), c.err)); got != c.want {
			t.Errorf("%T %v: got exit code %d, want %d", c.err, c.err, got, c.want)
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		if cmd.HasSubCommands() || cmd.Name() == "version" {
			return
		}
		path := strings.Fields(cmd.CommandPath())
		help := mustCalve(t, "", append(path[1:], "--help")...)
		for _, part := range []string{"Usage:", "Examples:", cmd.CommandPath() + " "} {
			if !strings.Contains(help, part) {
				t.Errorf("%s --help does not show %q", cmd.CommandPath(), part)
			}
		}
		if cmd.Short == "" {
			t.Errorf("%s has no summary", cmd.CommandPath())
		}
	}
	visit(newRoot())
}

func TestProduceThenRunOnce(t *testing.T) {
	dir := writeProject(t, ordersModel)
	in := "{\"id\":1,\"item\":\"tea\"}\n{\"id\":2}\nbroken\n"
	if got, want := mustCalve(t, in, "produce", "orders", "--project", dir), "3 records to orders\n"; got != want {
		t.Errorf("produce printed %q, want %q", got, want)
	}
	wantJSON(t, mustCalve(t, "", "run", "--once", "--project", dir, "--output", "json"),
		`{"records":3,"rows_out":2,"dead_letters":1,"filtered":0,"epochs":1,"files":3,"last_epoch":1}`)
	wantJSON(t, mustCalve(t, "", "run", "--once", "--project", dir, "--output", "json"),
		`{"records":0,"rows_out":0,"dead_letters":0,"filtered":0,"epochs":0,"files":0,"last_epoch":0}`)
	wantJSON(t, mustCalve(t, "{\"id\":4}", "produce", "orders", "--project", dir, "-o", "json"), `{"topic":"orders","records":1}`)
	if got, want := mustCalve(t, "", "run", "--once", "--project", dir), "1 records: 1 new rows, 0 dead letters, 0 filtered; 1 epochs, 2 files\n"; got != want {
		t.Errorf("run printed %q, want %q", got, want)
	}
}

func TestProduceWithKeys(t *testing.T) {
	dir := writeProject(t, strings.Replace(ordersModel, "{name: item,", "{name: item, from: kafka.key,", 1))
	mustCalve(t, "tea|{\"id\":1}\n", "produce", "orders", "--key-separator", "|", "--project", dir)
	mustCalve(t, "", "run", "--once", "--project", dir)
	var sample struct {
		Columns []string
		Rows    [][]any
	}
	parse(t, mustCalve(t, "", "table", "sample", "shop.orders", "--project", dir, "-o", "json"), &sample)
	if len(sample.Rows) != 1 || sample.Rows[0][slices.Index(sample.Columns, "item")] != "tea" {
		t.Errorf("got %v %v, want one row with item tea", sample.Columns, sample.Rows)
	}
	o := calve(t, "no separator\n", "produce", "orders", "--key-separator", "|", "--project", dir)
	if o.code != exitFailure || !strings.Contains(o.errors, "line 1") || !strings.Contains(o.errors, "0 records were acknowledged") {
		t.Errorf("got exit code %d, errors %q; want %d and the line", o.code, o.errors, exitFailure)
	}
}

func TestPlanShowsTheProjectAndChangesNothing(t *testing.T) {
	dir := writeProject(t, ordersModel)
	before := files(t, dir)
	var plan struct {
		Project, Warehouse, Catalog string
		Kafka                       []string
		Models                      []struct{ Name, Kind, From, Table string }
		Tables                      []struct {
			Name, Action, Partition string
			Columns, Problems       []string
		}
	}
	parse(t, mustCalve(t, "", "plan", "--project", dir, "--output", "json"), &plan)
	if plan.Project != "shop" || plan.Catalog != "embedded" || len(plan.Models) != 1 || plan.Models[0].From != "source.shop.orders" || plan.Models[0].Kind != "staging" {
		t.Errorf("got plan %+v", plan)
	}
	for _, table := range plan.Tables {
		if table.Action != "create" || len(table.Columns) == 0 {
			t.Errorf("%s: got %s with %d columns, want to create it", table.Name, table.Action, len(table.Columns))
		}
	}
	if len(plan.Tables) != 3 {
		t.Errorf("got %d tables, want the model's, dead letters and audit", len(plan.Tables))
	}
	if after := files(t, dir); !slices.Equal(before, after) {
		t.Errorf("plan left %v, there was %v", after, before)
	}

	mustCalve(t, "{\"id\":1}", "produce", "orders", "--project", dir)
	mustCalve(t, "", "run", "--once", "--project", dir)
	changed := strings.Replace(ordersModel, "name: item, data_type: string", "name: item, data_type: date", 1)
	if err := os.WriteFile(filepath.Join(dir, "models", "orders.yaml"), []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	text := mustCalve(t, "", "plan", "--project", dir)
	for _, part := range []string{"refuse", "keep", "column item: the table has string, the project declares date"} {
		if !strings.Contains(text, part) {
			t.Errorf("plan does not say %q:\n%s", part, text)
		}
	}
	o := calve(t, "", "run", "--once", "--project", dir)
	if o.code == exitOK || !strings.Contains(o.errors, "column item") {
		t.Errorf("run: got exit code %d, errors %q; want the difference", o.code, o.errors)
	}
}

func TestTableCommands(t *testing.T) {
	dir := writeProject(t, ordersModel)
	mustCalve(t, "{\"id\":1,\"item\":\"tea\"}\n{\"id\":2}\n", "produce", "orders", "--project", dir)
	mustCalve(t, "", "run", "--once", "--project", dir)
	var list []struct {
		Name  string
		Rows  int64
		Epoch int64
	}
	parse(t, mustCalve(t, "", "table", "list", "--project", dir, "-o", "json"), &list)
	rows := map[string]int64{}
	for _, l := range list {
		rows[l.Name] = l.Rows
	}
	if len(list) != 3 || rows["shop.orders"] != 2 || rows["calve_shop.epochs"] != 1 {
		t.Errorf("got tables %v", rows)
	}
	var table struct {
		Name      string
		Format    int `json:"format_version"`
		Rows      int64
		Files     int64
		Pipeline  string
		Columns   []struct{ Name, Type string }
		Snapshots []struct {
			Operation string
			Rows      int64 `json:"added_rows"`
			Epoch     int64
		}
	}
	parse(t, mustCalve(t, "", "table", "show", "shop.orders", "--project", dir, "-o", "json"), &table)
	if table.Format != 2 || table.Rows != 2 || table.Files != 1 || table.Pipeline != "shop" || len(table.Columns) != 8 ||
		len(table.Snapshots) != 1 || table.Snapshots[0].Operation != "append" || table.Snapshots[0].Rows != 2 || table.Snapshots[0].Epoch != 1 {
		t.Errorf("got table %+v", table)
	}
	for _, args := range [][]string{{"list"}, {"show", "shop.orders"}, {"sample", "shop.orders", "--limit", "1"}} {
		if text := mustCalve(t, "", append(append([]string{"table"}, args...), "--project", dir)...); !strings.Contains(text, "\n") || strings.Contains(text, "{") {
			t.Errorf("table %v printed %q, want a text table", args, text)
		}
	}
	o := calve(t, "", "table", "show", "shop.absent", "--project", dir)
	if o.code != exitFailure || !strings.Contains(o.errors, "shop.absent") {
		t.Errorf("got exit code %d, errors %q; want %d naming the table", o.code, o.errors, exitFailure)
	}
}

func TestPortsInUseAreNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // nothing was accepted
	address := listener.Addr().String()
	dir := writeProject(t, ordersModel)
	taken := "name: shop\nconfig_version: 1\nconnections:\n  kafka: {embedded: {listen: \"" + address + "\"}}\n  catalog: {listen: \"" + address + "\"}\n"
	if err := os.WriteFile(filepath.Join(dir, "calve.yaml"), []byte(taken), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", "--once"}, {"catalog", "serve"}} {
		o := calve(t, "", append(args, "--project", dir)...)
		if o.code != exitFailure || !strings.Contains(o.errors, address) || !strings.Contains(o.errors, "in use") {
			t.Errorf("calve %v: got exit code %d, errors %q; want %d and the address", args, o.code, o.errors, exitFailure)
		}
	}
}

func wantJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	parse(t, got, &g)
	parse(t, want, &w)
	a, _ := json.Marshal(g) //nolint:errcheck // what was parsed renders
	b, _ := json.Marshal(w) //nolint:errcheck // likewise
	if !bytes.Equal(a, b) {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func parse(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

// files lists what is below a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		all = append(all, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
