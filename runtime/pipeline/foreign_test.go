package pipeline_test

import (
	"context"
	"fmt"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
)

// foreignAppend adds a row to a model's table as another engine would.
func (w *world) foreignAppend(id catalog.Identifier, rowID int64) error {
	tbl, err := w.load(id)
	if err != nil {
		return err
	}
	rows, err := foreignRow(rowID)
	if err != nil {
		return err
	}
	defer rows.Release()
	tx := tbl.NewTransaction()
	if err := tx.Append(context.Background(), rows, nil); err != nil {
		return err
	}
	_, err = tx.Commit(context.Background())
	return err
}

// foreignDelete removes rows as another engine would.
func (w *world) foreignDelete(id catalog.Identifier, rowID int64) error {
	tbl, err := w.load(id)
	if err != nil {
		return err
	}
	w.altered[id] = true
	tx := tbl.NewTransaction()
	if err := tx.Delete(context.Background(), iceberg.EqualTo(iceberg.Reference("id"), rowID), nil); err != nil {
		return err
	}
	_, err = tx.Commit(context.Background())
	return err
}

// acceptHead says, as an operator does, that what others did up to the head
// was meant.
func (w *world) acceptHead(id catalog.Identifier) error {
	tbl, err := w.load(id)
	if err != nil {
		return err
	}
	head := strconv.FormatInt(tbl.CurrentSnapshot().SnapshotID, 10)
	return w.alter(tbl, table.NewSetPropertiesUpdate(iceberg.Properties{lakehouse.PropertyAccepted: head}))
}

// rollBack sets a table back to the snapshot before its head.
func (w *world) rollBack(id catalog.Identifier) error {
	tbl, err := w.load(id)
	if err != nil {
		return err
	}
	parent := tbl.CurrentSnapshot().ParentSnapshotID
	if parent == nil {
		return fmt.Errorf("%s has no snapshot before its head", id)
	}
	w.altered[id] = true
	return w.alter(tbl, table.NewSetSnapshotRefUpdate(table.MainBranch, *parent, table.BranchRef, 0, 0, 0))
}

func (w *world) alter(tbl *table.Table, updates ...table.Update) error {
	return w.catalog.Commit(context.Background(), []table.TableCommit{{
		Identifier:   tbl.Identifier(),
		Requirements: []table.Requirement{table.AssertTableUUID(tbl.Metadata().TableUUID())},
		Updates:      updates,
	}})
}

// foreignCompact rewrites all files of a table into one as another engine
// would; a table with less than two files stays as it is.
func (w *world) foreignCompact(id catalog.Identifier) error {
	tbl, err := w.load(id)
	if err != nil {
		return err
	}
	tasks, err := tbl.Scan().PlanFiles(context.Background())
	if err != nil || len(tasks) < 2 {
		return err
	}
	_, err = tbl.RewriteDataFiles(context.Background(), []table.CompactionTaskGroup{{PartitionKey: "all", Tasks: tasks}}, table.RewriteDataFilesOptions{})
	return err
}
