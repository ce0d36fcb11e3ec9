package wasm

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/calvelake/calve/sdk/abi"
)

// hostFunction is a function that guests may import.
type hostFunction struct {
	module, name    string
	params, results []api.ValueType
	run             func(e *environment, m api.Module, stack []uint64)
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
	f64 = api.ValueTypeF64
)

func params(types ...api.ValueType) []api.ValueType { return types }

// calveFunctions is the imports of the ABI, AssemblyScript's abort included.
func calveFunctions() []hostFunction {
	return []hostFunction{
		{abi.ImportModule, abi.ImportLog, params(i32, i32, i32), nil, (*environment).log},
		{abi.ImportModule, abi.ImportLogLevel, nil, params(i32), (*environment).logLevel},
		{abi.ImportModule, abi.ImportCounter, params(i32, i32, i64), nil, (*environment).counterAdd},
		{abi.ImportModule, abi.ImportHistogram, params(i32, i32, f64), nil, (*environment).histogram},
		{abi.ImportEnv, abi.ImportAbort, params(i32, i32, i32, i32), nil, (*environment).abort},
	}
}

func hostFunctions() []hostFunction { return append(calveFunctions(), wasiFunctions()...) }

// offered tells whether guests may import a function.
func offered() func(module, name string) bool {
	known := map[[2]string]bool{}
	for _, f := range hostFunctions() {
		known[[2]string{f.module, f.name}] = true
	}
	return func(module, name string) bool { return known[[2]string{module, name}] }
}

// instantiateImports makes the modules that guests import from, once for all
// instances: a function finds the instance's environment in the context of the
// call.
func (h *Host) instantiateImports(ctx context.Context) error {
	byModule := map[string][]hostFunction{}
	for _, f := range hostFunctions() {
		byModule[f.module] = append(byModule[f.module], f)
	}
	for module, functions := range byModule {
		b := h.runtime.NewHostModuleBuilder(module)
		for _, f := range functions {
			run := api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
				e := environmentOf(ctx)
				e.charge(0)
				f.run(e, m, stack)
			})
			b = b.NewFunctionBuilder().WithGoModuleFunction(run, f.params, f.results).Export(f.name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("make imports of module %q: %w", module, err)
		}
	}
	return nil
}
