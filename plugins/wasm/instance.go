package wasm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/plugins/wasm/internal/meter"
	"github.com/calvelake/calve/sdk/abi"
)

// instance is one running copy of a module. It serves one call at a time.
//
// After an error of a call its state is unknown: it is to be closed.
type instance struct {
	plugin *Plugin
	module api.Module
	env    *environment

	functions           map[string]api.Function
	slice, budget, stop api.MutableGlobal
	denied              api.MutableGlobal
	granted             int64 // budget of the last call
	worked              int64 // of all calls since it was lent, in checks
	closed              bool
}

// newInstance makes an instance and runs its initialization.
func (p *Plugin) newInstance(ctx context.Context) (*instance, error) {
	in := &instance{plugin: p, env: newEnvironment(p.digest, p.host.logger), functions: map[string]api.Function{}}
	if err := in.instantiate(ctx); err != nil {
		return nil, fmt.Errorf("make plugin instance: %w", err)
	}
	for name := range exportTypes {
		if f := in.module.ExportedFunction(name); f != nil {
			in.functions[name] = f
		}
	}
	global := func(name string) api.MutableGlobal { return in.module.ExportedGlobal(name).(api.MutableGlobal) }
	in.slice, in.budget = global(meter.ExportSlice), global(meter.ExportBudget)
	in.stop, in.denied = global(meter.ExportStop), global(meter.ExportOOM)
	in.env.budget = in.budget
	if _, ok := in.functions[abi.ExportInitialize]; ok {
		if _, err := in.call(ctx, p.limits.Budget, abi.ExportInitialize); err != nil {
			in.close(ctx)
			return nil, err
		}
	}
	return in, nil
}

// instantiate recovers, since wazero panics when the allocator cannot provide
// the initial memory.
func (in *instance) instantiate(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %d bytes could not be reserved (%v)", ErrMemory, in.plugin.limits.MemoryBytes, r)
		}
	}()
	ctx = experimental.WithMemoryAllocator(ctx, newAllocator())
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	in.module, err = in.plugin.host.runtime.InstantiateModule(ctx, in.plugin.compiled, config)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidModule, err)
	}
	return nil
}

// close frees the instance. It must not be used afterwards: its memory is gone.
func (in *instance) close(ctx context.Context) {
	if !in.closed {
		in.closed = true
		// There is nothing to close that could fail but what is freed anyway.
		_ = in.module.Close(ctx)
	}
}

// memory is the whole linear memory, as it is until the next call.
func (in *instance) memory() []byte { return bytesOf(in.module) }

// call runs an export with that budget. It returns the export's first result,
// 0 if it has none.
func (in *instance) call(ctx context.Context, budget int64, name string, args ...uint64) (uint64, error) {
	if in.closed || in.module.IsClosed() {
		return 0, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	in.env.begin(in.plugin.limits.LogBytes)
	in.slice.Set(meter.SliceChecks)
	in.budget.Set(uint64(budget))
	in.granted = budget
	in.stop.Set(0)
	in.denied.Set(0)
	stack := make([]uint64, max(len(args), 1))
	copy(stack, args)
	release := in.stopWith(ctx)
	err := in.functions[name].CallWithStack(withEnvironment(context.WithoutCancel(ctx), in.env), stack)
	release()
	in.worked += in.spent()
	if err != nil {
		return 0, in.explain(ctx, name, err)
	}
	return stack[0], nil
}

// stopWith lets ctx stop the running call: the guest sees the flag when its
// slice is used up. The function it returns ends that, and returns when the flag
// will not be set any more.
func (in *instance) stopWith(ctx context.Context) (release func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	set := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		in.stop.Set(1)
		close(set)
	})
	return func() {
		if !unhook() {
			<-set
		}
	}
}

// lend begins to count work anew. It returns what was done before.
func (in *instance) lend() int64 {
	before := in.worked
	in.worked, in.granted = 0, 0
	return before
}

// used is what was used since it was lent.
func (in *instance) used() Usage {
	return Usage{Work: in.worked, Memory: int64(in.module.Memory().Size())}
}

// spent is the work of the last call, in checks.
func (in *instance) spent() int64 {
	return in.granted - int64(in.budget.Get()) + meter.SliceChecks - int64(int32(in.slice.Get()))
}

// explain turns wazero's error into one of this package.
func (in *instance) explain(ctx context.Context, name string, err error) error {
	what, where := splitTrace(err)
	if text := in.env.stderr.String(); text != "" {
		where = "; it wrote: " + text + where
	}
	switch {
	case in.stop.Get() != 0 && ctx.Err() != nil:
		return ctx.Err()
	case int64(in.budget.Get()) < 0:
		return fmt.Errorf("%w in %s: it did not return within %d units of work", ErrBudget, name, in.granted)
	case in.denied.Get() != 0:
		return fmt.Errorf("%w in %s: it may use %d bytes: %s%s", ErrMemory, name, in.plugin.limits.MemoryBytes, what, where)
	case in.env.exited:
		return fmt.Errorf("%w in %s: it exited with status %d%s", ErrTrap, name, in.env.status, where)
	case in.env.message != "":
		return fmt.Errorf("%w in %s: abort: %s%s", ErrTrap, name, in.env.message, where)
	}
	return fmt.Errorf("%w in %s: %s%s", ErrTrap, name, what, where)
}

// maxTraceLines is how much of a guest's stack an error shows.
const maxTraceLines = 6

// splitTrace cuts wazero's error into what happened and the top of the stack.
func splitTrace(err error) (what, where string) {
	text, trace, _ := strings.Cut(err.Error(), "\nwasm stack trace:\n")
	what = strings.TrimSuffix(strings.TrimPrefix(text, "wasm error: "), " (recovered by wazero)")
	if trace == "" {
		return what, ""
	}
	lines := strings.Split(trace, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	if len(lines) > maxTraceLines {
		lines = lines[:maxTraceLines]
	}
	return what, "; at " + strings.Join(lines, " < ")
}

// alloc gets an arena of n bytes from the guest and returns its address and its
// bytes. Any later call of the guest may invalidate both.
func (in *instance) alloc(ctx context.Context, budget, n int64) (uint32, []byte, error) {
	if n > in.plugin.limits.MemoryBytes {
		return 0, nil, fmt.Errorf("%w: the input has %d bytes, it may use %d", ErrMemory, n, in.plugin.limits.MemoryBytes)
	}
	r, err := in.call(ctx, budget, abi.ExportAlloc, uint64(n))
	if err != nil {
		return 0, nil, err
	}
	address, memory := uint32(r), in.memory()
	switch {
	case address == 0:
		return 0, nil, fmt.Errorf("%w: %s gave no room for %d bytes of input", ErrMemory, abi.ExportAlloc, n)
	case address%abi.BufferAlign != 0:
		return 0, nil, fmt.Errorf("%w: %s returned the address 0x%x, which is not aligned to %d bytes", ErrOutput, abi.ExportAlloc, address, abi.BufferAlign)
	case int64(address)+n > int64(len(memory)):
		return 0, nil, fmt.Errorf("%w: %s returned %d bytes at 0x%x, outside the memory of %d bytes", ErrOutput, abi.ExportAlloc, n, address, len(memory))
	}
	return address, memory[address : int64(address)+n], nil
}

// result reads the result struct and turns a status that is not 0 into an error.
func (in *instance) result(r *cdata.Reader, address uint64) (cdata.Result, error) {
	res, err := r.Result(uint32(address))
	if err != nil {
		return res, err
	}
	switch {
	case res.Status == abi.StatusOK:
		return res, nil
	case res.Status == abi.StatusRefused:
		return res, fmt.Errorf("%w: %s", ErrRefusedConfig, orNone(res.Message))
	case res.Status == abi.StatusRetry:
		return res, fmt.Errorf("%w: %w: %s", ErrTrap, errRetry, orNone(res.Message))
	case res.Status == abi.StatusFailed || res.Status >= abi.StatusOwn:
		return res, fmt.Errorf("%w: status %d: %s", ErrTrap, res.Status, orNone(res.Message))
	}
	return res, fmt.Errorf("%w: result: status %d is unknown", ErrOutput, res.Status)
}

// errRetry: the guest says that the same batch may succeed when tried again.
var errRetry = errors.New("the batch failed for now")

func orNone(message string) string {
	if message == "" {
		return "no message"
	}
	return message
}
