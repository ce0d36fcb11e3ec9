package daemon

import (
	"context"
	"sync"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// sparingPlugin is a plugin of on_error: stop for a replay of dead letters: it
// refuses the rows on which it fails. Its instances are made when a replay
// needs them.
type sparingPlugin struct {
	stopping *plugin
	open     func(context.Context) (*wasm.Transform, error)

	mu     sync.Mutex
	opened *plugin
}

// Sparing implements pipeline.Sparing.
func (p *plugin) Sparing() pipeline.Transformer {
	if p.sparing == nil {
		return p // it stops over no row
	}
	return p.sparing
}

// Digest implements pipeline.Transformer.
func (p *sparingPlugin) Digest() string { return p.stopping.Digest() }

// Transform implements pipeline.Transformer.
func (p *sparingPlugin) Transform(ctx context.Context, batch record.Batch) (record.Batch, []record.Reject, error) {
	opened, err := p.plugin(ctx)
	if err != nil {
		return record.Batch{}, nil, err
	}
	return opened.Transform(ctx, batch)
}

func (p *sparingPlugin) plugin(ctx context.Context) (*plugin, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opened != nil {
		return p.opened, nil
	}
	transform, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	p.opened = &plugin{transform: transform, digest: p.stopping.digest, rows: p.stopping.rows}
	return p.opened, nil
}

// nextEpoch is NextEpoch of the instances, if there are any.
func (p *sparingPlugin) nextEpoch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opened != nil {
		p.opened.transform.NextEpoch()
	}
}

func (p *sparingPlugin) close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opened == nil {
		return nil
	}
	return p.opened.transform.Close(ctx)
}
