package lakehouse

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// regroup rewrites one data file row group by row group.
type regroup struct {
	*rewrite
	source  *groupSource
	touched map[int]bool

	lane partitionKey // of all of the file's rows, if uniform
	own  *groupFile   // the file that takes its place; nil if it is small, or not uniform
	kept []arrow.RecordBatch
	gone writtenGroup
}

// run copies what is not touched, and encodes the rest. A file that is large
// enough is replaced by one of its own, so that what has become of its rows
// stays apart from what changes more often; a smaller one is gathered with
// others.
func (r *regroup) run(ctx context.Context) error {
	current, uniform := r.source.uniform()
	if uniform {
		var err error
		if r.lane, err = r.laneOf(ctx, current); err != nil {
			return err
		}
	}
	large := r.source.data.data.FileSizeBytes() >= r.config.TargetBytes/2 && r.source.data.data.FileSizeBytes() < 2*r.config.TargetBytes
	if uniform && large {
		var err error
		if r.own, err = r.writer.begin(ctx, r.lane); err != nil {
			return err
		}
		defer r.own.abort()
	}
	for group := range r.source.groups() {
		if err := r.group(ctx, group, uniform); err != nil {
			return err
		}
	}
	if r.own == nil {
		return nil
	}
	if len(r.own.groups) == 0 && r.own.pendingRows == 0 {
		return nil // nothing is left; the file was never published
	}
	return r.writer.end(r.own)
}

// laneOf is where all rows of the file go: that of its first row.
func (r *regroup) laneOf(ctx context.Context, current bool) (partitionKey, error) {
	p := r.writer.partition
	if len(p.fields) == 0 && p.current < 0 {
		return partitionKey{}, nil
	}
	if len(p.fields) == 0 {
		return p.key(nil, current), nil
	}
	var lanes []partitionKey
	err := r.source.read(ctx, 0, nil, func(batch arrow.RecordBatch) error {
		if lanes != nil {
			return nil
		}
		first := batch.NewSlice(0, 1)
		defer first.Release()
		rows, err := r.table.order(ctx, first, r.config.Allocator)
		if err != nil {
			return err
		}
		defer rows.Release()
		lanes, err = r.writer.lanes(rows)
		return err
	})
	if err != nil {
		return partitionKey{}, err
	}
	return lanes[0], nil
}

// group copies a row group, or writes what the changes leave of it.
func (r *regroup) group(ctx context.Context, group int, uniform bool) error {
	enough := r.own != nil || r.config.fullGroup(r.source.rows(group), r.source.bytes(group))
	if !r.touched[group] && uniform && enough {
		return r.copy(ctx, group)
	}
	if uniform && r.lane.current && r.touched[group] {
		done, err := r.dropRows(ctx, group)
		if done || err != nil {
			return err
		}
	}
	defer r.release()
	if err := r.decode(ctx, group, uniform); err != nil {
		return err
	}
	if len(r.kept) == 1 && uniform && r.fills(group) {
		return r.encode(ctx, group)
	}
	for _, rows := range r.kept {
		if err := r.write(ctx, rows); err != nil {
			return err
		}
	}
	return nil
}

func (r *regroup) copy(ctx context.Context, group int) error {
	to, err := r.target(ctx)
	if err != nil {
		return err
	}
	if err := to.copy(r.source, group); err != nil {
		return err
	}
	r.stats.CopiedGroups++
	r.stats.CopiedRows += r.source.rows(group)
	return r.written(to)
}

// target is the file that row groups go to.
func (r *regroup) target(ctx context.Context) (*groupFile, error) {
	if r.own != nil {
		return r.own, nil
	}
	return r.writer.gathered(ctx, r.lane)
}

func (r *regroup) written(to *groupFile) error {
	if to == r.own {
		return nil
	}
	return r.writer.endFull(to)
}

// decode makes the changes to the rows of a group.
func (r *regroup) decode(ctx context.Context, group int, uniform bool) error {
	location := r.source.data.data.FilePath()
	var lane *partitionKey
	if uniform {
		lane = &r.lane
	}
	r.gone = writtenGroup{from: location, group: group}
	return r.source.read(ctx, group, nil, func(batch arrow.RecordBatch) error {
		rows, err := r.table.order(ctx, batch, r.config.Allocator)
		if err != nil {
			return err
		}
		defer rows.Release()
		kept, gone, err := r.apply(rows, location, lane)
		if err != nil {
			return err
		}
		r.kept = append(r.kept, kept)
		r.gone.rows += kept.NumRows()
		r.gone.gone = append(r.gone.gone, gone...)
		return nil
	})
}

func (r *regroup) release() {
	for _, rows := range r.kept {
		rows.Release()
	}
	r.kept = nil
}

// fills tells whether what is left of a group is enough for one.
func (r *regroup) fills(group int) bool {
	rows := r.source.rows(group)
	return rows <= 2*r.config.GroupRows && r.config.fullGroup(r.gone.rows, r.source.bytes(group)*r.gone.rows/rows)
}

// encode puts what is left of a group in its place, which spares the index to
// enter its keys anew.
func (r *regroup) encode(ctx context.Context, group int) error {
	to, err := r.target(ctx)
	if err != nil {
		return err
	}
	if err := to.encode(r.kept, r.gone); err != nil {
		return fmt.Errorf("row group %d: %w", group, err)
	}
	return r.written(to)
}

// write gathers what is left of a group with other rows.
func (r *regroup) write(ctx context.Context, rows arrow.RecordBatch) error {
	if r.own != nil {
		return r.own.write(rows)
	}
	return r.writer.write(ctx, rows)
}
