package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
	"github.com/calvelake/calve/lakehouse/internal/rowdrop"
	"github.com/calvelake/calve/runtime/record"
)

// dropRows takes the rows that leave out of a group, which is all that happens to
// one of current rows, by decoding nothing but their keys. It tells whether it
// could; if not, nothing has happened.
func (r *regroup) dropRows(ctx context.Context, group int) (done bool, err error) {
	rows := r.source.rows(group)
	if r.failed > r.stats.ThinnedGroups+2 || rows > 2*r.config.GroupRows {
		return false, nil
	}
	if r.found, err = r.match(ctx, group); err != nil {
		return false, err
	}
	var leave []int
	for row, change := range r.found {
		switch {
		case change < 0:
		case r.changes.ops[change] != record.OpDelete && r.stays(change, &r.lane):
			return false, nil
		default:
			leave = append(leave, row)
		}
	}
	r.gone = writtenGroup{rows: rows - int64(len(leave)), from: r.source.data.data.FilePath(), group: group}
	if len(leave) == 0 || !r.fills(group) {
		return false, nil
	}
	body, footer, err := r.dropper.Drop(r.source.body, r.source.footer, group, leave)
	if errors.Is(err, rowdrop.ErrUnsupported) {
		r.failed++
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("row group %d: %w", group, err)
	}
	r.stats.ThinnedGroups++
	for _, row := range leave {
		if _, err := r.place(r.found[row], &r.lane, r.gone.from); err != nil {
			return false, err
		}
		r.gone.gone = append(r.gone.gone, r.hashes[row])
	}
	to, err := r.target(ctx)
	if err != nil {
		return false, err
	}
	if err := to.splice(body, footer, 0, r.gone); err != nil {
		return false, fmt.Errorf("row group %d: %w", group, err)
	}
	return true, r.written(to)
}

// match finds the changes of a row group's rows, -1 for those without.
func (r *regroup) match(ctx context.Context, group int) (found []int, err error) {
	if r.hashes, err = r.source.hashes(ctx, group, r.hasher, r.dropper, r.hashes); err != nil {
		return nil, err
	}
	found, _ = r.changes.changed(r.hashes, r.found)
	return found, nil
}

// hashes are those of the keys of a row group, in into if that has room.
func (s *groupSource) hashes(ctx context.Context, group int, k *keyHasher, raw *rowdrop.Dropper, into []keyindex.Hash) ([]keyindex.Hash, error) {
	into = slices.Grow(into[:0], int(s.rows(group)))
	if len(k.columns) == 1 {
		leaf := s.footer.Schema.ColumnIndexByName(k.columns[0])
		err := raw.ByteArrays(s.body, s.footer, group, leaf, func(key []byte) { into = append(into, k.sumBytes(key)) })
		if !errors.Is(err, rowdrop.ErrUnsupported) {
			return into, err
		}
	}
	var part []keyindex.Hash
	err := s.read(ctx, group, k.columns, func(batch arrow.RecordBatch) (err error) {
		part, err = k.hashes(batch, part)
		into = append(into, part...)
		return err
	})
	return into, err
}
