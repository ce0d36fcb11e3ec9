package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// row is a row of a table: where it came from, and its columns by name.
type row struct {
	record.TopicPartition
	offset  int64
	ordinal int32
	values  map[string]any
}

// foreignTopic is what rows of other writers than Calve say they come from.
const foreignTopic = "foreign"

// rows reads a whole table; none if it does not exist.
func (w *world) rows(id catalog.Identifier) ([]row, error) {
	tbl, err := w.load(id)
	if err != nil {
		return nil, err
	}
	sample, err := lakehouse.ReadSample(context.Background(), tbl, 1<<20)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, cells := range sample.Rows {
		r := row{values: map[string]any{}}
		for i, name := range sample.Columns {
			var v any
			decoder := json.NewDecoder(strings.NewReader(string(cells[i])))
			decoder.UseNumber()
			if err := decoder.Decode(&v); err != nil {
				return nil, err
			}
			r.values[name] = v
		}
		r.Topic = r.text(record.ColumnTopic)
		r.Partition = int32(r.number(record.ColumnPartition))
		r.offset, r.ordinal = r.number(record.ColumnOffset), int32(r.number(record.ColumnRow))
		rows = append(rows, r)
	}
	slices.SortStableFunc(rows, compareRows)
	return rows, nil
}

func (r row) number(column string) int64 {
	n, ok := r.values[column].(json.Number)
	if !ok {
		return 0
	}
	v, _ := n.Int64()
	return v
}

func (r row) text(column string) string {
	s, _ := r.values[column].(string)
	return s
}

func (r row) optional(column string) string {
	if r.values[column] == nil {
		return "null"
	}
	return fmt.Sprint(r.values[column])
}

// showTable prints a model's table, a row a line, by position.
func (w *world) showTable(model string) ([]string, error) {
	rows, err := w.rows(catalog.Identifier{Namespace: "staging", Name: model})
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf("%s@%d.%d id=%d kind=%s%s", r.TopicPartition, r.offset, r.ordinal, r.number("id"), r.optional("kind"), r.extras()))
	}
	return lines, nil
}

func (w *world) deadLetters() ([]row, error) {
	return w.rows(lakehouse.DeadLettersDefinition(pipelineName).ID)
}

func (w *world) showDeadLetters() ([]string, error) {
	rows, err := w.deadLetters()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, r := range rows {
		if outcome := r.text("resolution"); outcome != "" {
			line := fmt.Sprintf("%s@%d.%d %s epoch=%d %s by %s", r.TopicPartition, r.offset, r.ordinal, r.text("model"), r.number("epoch"), outcome, r.text("request_id"))
			if outcome == string(lakehouse.Refused) {
				line += fmt.Sprintf(", %s: %s", r.text("reason_code"), r.text("message"))
			}
			lines = append(lines, line)
			continue
		}
		lines = append(lines, fmt.Sprintf("%s@%d.%d %s epoch=%d %s: %s", r.TopicPartition, r.offset, r.ordinal, r.text("model"), r.number("epoch"), r.text("reason_code"), r.text("message")))
	}
	return lines, nil
}

// auditRows reads the audit table, by model, TopicPartition and offset.
func (w *world) auditRows() ([]row, error) {
	rows, err := w.rows(lakehouse.AuditDefinition(pipelineName).ID)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		r := &rows[i]
		r.TopicPartition = record.TopicPartition{Topic: r.text("kafka_topic"), Partition: int32(r.number("kafka_partition"))}
		r.offset = r.number("from_offset")
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		if c := strings.Compare(a.text("model"), b.text("model")); c != 0 {
			return c
		}
		return compareRows(a, b)
	})
	return rows, nil
}

func (w *world) showAudit() ([]string, error) {
	rows, err := w.auditRows()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, r := range rows {
		if r.text("reader") == lakehouse.ReplayReader {
			lines = append(lines, fmt.Sprintf("%s %s replay epoch=%d by %s: with_rows=%+d dead=%+d filtered=%+d rows=%d dead_letters=%d",
				r.text("model"), r.TopicPartition, r.number("epoch"), r.text("writer"),
				r.number("with_rows"), r.number("dead"), r.number("filtered"), r.number("rows"), r.number("dead_letters")))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %s [%d,%d) epoch=%d by %s: delivered=%d with_rows=%d dead=%d filtered=%d rows=%d dead_letters=%d",
			r.text("model"), r.TopicPartition, r.offset, r.number("to_offset"), r.number("epoch"), r.text("writer"),
			r.number("delivered"), r.number("with_rows"), r.number("dead"), r.number("filtered"), r.number("rows"), r.number("dead_letters")))
	}
	return lines, nil
}

// log reads the epoch log as the next process would.
func (w *world) log() (lakehouse.Tail, error) {
	log := lakehouse.NewLog(w.store, pipelineName, "reader", slog.New(slog.DiscardHandler))
	return log.Read(context.Background())
}

func (w *world) showLog() ([]string, error) {
	tail, err := w.log()
	if err != nil {
		return nil, err
	}
	var lines []string
	if tail.Floor.Number > 0 {
		lines = append(lines, fmt.Sprintf("floor %d", tail.Floor.Number))
	}
	for _, e := range tail.Epochs {
		lines = append(lines, showEpoch(e)...)
	}
	return lines, nil
}

func showEpoch(e *lakehouse.Epoch) []string {
	var took []string
	for _, reader := range e.Readers {
		for _, g := range reader.Ranges {
			if g.From == g.To {
				continue
			}
			text := fmt.Sprintf("%s/%d [%d,%d)", g.Topic, g.Partition, g.From, g.To)
			for _, lost := range g.Lost {
				text += fmt.Sprintf(" lost [%d,%d)", lost.From, lost.To)
			}
			if reader.Name != pipeline.MainReader {
				text += " for " + strings.Join(reader.Models, " ")
			}
			took = append(took, text)
		}
	}
	for _, r := range e.Requests {
		took = append(took, fmt.Sprintf("request %s done=%v %s", r.ID, r.Done, r.Cursor))
	}
	if len(took) == 0 {
		took = []string{"heartbeat"}
	}
	lines := []string{fmt.Sprintf("epoch %d by %s: %s", e.Number, e.Writer, strings.Join(took, " "))}
	for _, c := range e.Changes {
		var rows int64
		for _, f := range c.Add {
			rows += f.Rows
		}
		line := fmt.Sprintf("  %s after epoch %d: files=%d rows=%d", c.Table, c.Prev, len(c.Add), rows)
		for _, n := range c.Counts {
			line += fmt.Sprintf(" (%s: in=%d out=%d dead=%d filtered=%d)", n.Model, n.In, n.Out, n.Dead, n.Filtered)
		}
		lines = append(lines, line)
	}
	return lines
}

// showSnapshots prints a table's history.
func (w *world) showSnapshots(name string) ([]string, error) {
	id, err := catalog.ParseIdentifier(name)
	if err != nil {
		return nil, err
	}
	tbl, err := w.load(id)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, s := range lakehouse.Summarize(id, tbl.Metadata()).Snapshots {
		by := fmt.Sprintf("epoch %d", s.Epoch)
		if s.Epoch == 0 {
			by = "another writer"
		}
		lines = append(lines, fmt.Sprintf("%s by %s: files=%d rows=%d", s.Operation, by, s.Files, s.Rows))
	}
	return lines, nil
}

// showOrphans counts the data files that no table names, by table.
func (w *world) showOrphans() ([]string, error) {
	orphans := map[string]int{}
	for object, err := range w.store.List(context.Background(), storeRoot+"/") {
		if err != nil {
			return nil, err
		}
		parts := tableFolder.FindStringSubmatch(strings.TrimPrefix(object.Location, storeRoot+"/"))
		if parts != nil && parts[3] == "data" {
			orphans[parts[1]+"."+parts[2]]++
		}
	}
	var lines []string
	for _, d := range w.definitions() {
		tbl, err := w.load(d.ID)
		if err != nil {
			return nil, err
		}
		tasks, err := tbl.Scan().PlanFiles(context.Background())
		if err != nil {
			return nil, err
		}
		if n := orphans[d.ID.String()] - len(tasks); n > 0 {
			lines = append(lines, fmt.Sprintf("%s files=%d", d.ID, n))
		}
	}
	return lines, nil
}
