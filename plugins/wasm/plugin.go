package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/calvelake/calve/plugins/wasm/internal/meter"
	"github.com/calvelake/calve/sdk/abi"
)

// Plugin is a compiled module. It is safe for concurrent use.
type Plugin struct {
	host     *Host
	compiled wazero.CompiledModule
	digest   [sha256.Size]byte
	describe abi.Describe
	limits   Limits
}

// exportTypes is the functions of the ABI that this host may call.
var exportTypes = map[string]struct{ params, results []api.ValueType }{
	abi.ExportAlloc:      {params(i32), params(i32)},
	abi.ExportDescribe:   {nil, params(i64)},
	abi.ExportInit:       {params(i32, i32), params(i32)},
	abi.ExportProcess:    {params(i32), params(i32)},
	abi.ExportAccumulate: {params(i32), params(i32)},
	abi.ExportMerge:      {params(i32), params(i32)},
	abi.ExportFinish:     {params(i32), params(i32)},
	abi.ExportClose:      {nil, nil},
	abi.ExportInitialize: {nil, nil},
}

// requiredExports is what every module must have; ExportProcess belongs to a
// kind and is required with it.
var requiredExports = []string{abi.ExportMarker, abi.ExportMemory, abi.ExportAlloc, abi.ExportDescribe, abi.ExportInit}

// Compile checks a module, compiles it and asks it what it is. The module's
// bytes are not kept. Its errors are those listed for Compile in this package,
// and the errors of a call, since calve_describe is called.
func (h *Host) Compile(ctx context.Context, module []byte, limits Limits) (*Plugin, error) {
	limits, err := limits.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Plugin{host: h, digest: sha256.Sum256(module), limits: limits}
	metered, err := meter.Rewrite(module, meter.Options{MemoryPages: limits.pages(), Imports: offered()})
	if err != nil {
		return nil, fmt.Errorf("check plugin: %w", err)
	}
	if err := checkExports(metered.Exports, requiredExports); err != nil {
		return nil, fmt.Errorf("check plugin: %w", err)
	}
	if p.compiled, err = h.compile(ctx, metered.Module); err != nil {
		return nil, fmt.Errorf("compile plugin: %w", err)
	}
	if err := p.introduce(ctx, metered.Exports); err != nil {
		_ = p.Close(ctx)
		return nil, err
	}
	return p, nil
}

// compile recovers: wazero 1.12 panics on some malformed modules.
func (h *Host) compile(ctx context.Context, module []byte) (c wazero.CompiledModule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: the compiler panicked: %v", ErrInvalidModule, r)
		}
	}()
	c, err = h.runtime.CompileModule(ctx, module)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidModule, err)
	}
	return c, nil
}

func checkExports(exports map[string]byte, names []string) error {
	for _, name := range names {
		kind, ok := exports[name]
		if !ok {
			return fmt.Errorf("%w: the module does not export %q: build it with a Calve SDK", ErrMissingExport, name)
		}
		if want := byte(meter.KindFunction); name == abi.ExportMemory {
			if kind != meter.KindMemory {
				return fmt.Errorf("%w: the export %q is not a memory", ErrMissingExport, name)
			}
		} else if kind != want {
			return fmt.Errorf("%w: the export %q is not a function", ErrMissingExport, name)
		}
	}
	return nil
}

// introduce checks the types of the exports and reads the description.
func (p *Plugin) introduce(ctx context.Context, exports map[string]byte) error {
	for name, f := range p.compiled.ExportedFunctions() {
		want, ok := exportTypes[name]
		if ok && (!slices.Equal(f.ParamTypes(), want.params) || !slices.Equal(f.ResultTypes(), want.results)) {
			return fmt.Errorf("check plugin: %w: the function %q has the wrong type", ErrMissingExport, name)
		}
	}
	in, err := p.newInstance(ctx)
	if err != nil {
		return fmt.Errorf("describe plugin: %w", err)
	}
	defer in.close(ctx)
	r, err := in.call(ctx, p.limits.Budget, abi.ExportDescribe)
	if err != nil {
		return fmt.Errorf("describe plugin: %w", err)
	}
	address, n, memory := r>>32, r&(1<<32-1), in.memory()
	if address+n > uint64(len(memory)) {
		return fmt.Errorf("describe plugin: %w: %d bytes at 0x%x are outside the memory of %d bytes", ErrDescription, n, address, len(memory))
	}
	if p.describe, err = abi.ParseDescribe(memory[address : address+n]); err != nil {
		return fmt.Errorf("describe plugin: %w: %w", ErrDescription, err)
	}
	return checkExports(exports, kindExports[p.describe.Kind])
}

// kindExports is what a module must have for its kind. Another kind cannot be
// opened.
var kindExports = map[string][]string{
	abi.KindTransform: {abi.ExportProcess},
	abi.KindSession:   {abi.ExportAccumulate, abi.ExportMerge, abi.ExportFinish},
	abi.KindSCD:       {abi.ExportProcess},
}

// Digest is the SHA-256 of the original module, in hex: the plugin's identity.
func (p *Plugin) Digest() string { return hex.EncodeToString(p.digest[:]) }

// Describe is what the plugin says of itself.
func (p *Plugin) Describe() abi.Describe { return p.describe }

// Close frees the compiled code. Its transforms must be closed before.
func (p *Plugin) Close(ctx context.Context) error { return p.compiled.Close(ctx) }
