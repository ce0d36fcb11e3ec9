package author

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// Module is a compiled plugin, for trying it out. Its methods are not for
// concurrent use.
type Module struct {
	host   *wasm.Host
	plugin *wasm.Plugin
}

// Open reads and compiles a module. What it logs goes to the logger; nil drops
// it.
func Open(ctx context.Context, file string, logger *slog.Logger) (_ *Module, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	host, err := wasm.New(ctx, wasm.Config{Logger: logger})
	if err != nil {
		return nil, err
	}
	m := &Module{host: host}
	if m.plugin, err = host.Compile(ctx, text, wasm.Limits{}); err != nil {
		return nil, fmt.Errorf("%s: %w", file, errors.Join(err, host.Close(ctx)))
	}
	return m, nil
}

// Describe is what the plugin says of itself.
func (m *Module) Describe() abi.Describe { return m.plugin.Describe() }

// Digest is the module's SHA-256 in hex.
func (m *Module) Digest() string { return m.plugin.Digest() }

// Close frees the module.
func (m *Module) Close(ctx context.Context) error {
	return errors.Join(m.plugin.Close(ctx), m.host.Close(ctx))
}
