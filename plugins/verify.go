package plugins

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/trial"
	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// MaxModuleBytes is the largest module that is accepted.
const MaxModuleBytes = 32 << 20

// Limits of verification. They are below those of a pipeline: fixtures are
// small, and an interpreted guest takes some fifty times as long.
const (
	verifyBudget  = 1 << 28 // of one call
	verifyOutput  = 16 << 20
	verifyTimeout = 3 * time.Minute
)

// Expect is what a module must be, beside a valid plugin. Zero fields expect
// nothing.
type Expect struct {
	Kind     string          // kind of plugin; with Input a transform unless it says otherwise
	Config   json.RawMessage // of the model
	Input    *arrow.Schema   // what the model hands over
	Output   *arrow.Schema   // what the model declares
	Key      arrow.DataType  // of the model's sessions, for kind session
	InForce  *arrow.Schema   // the attributes of the model's versions, for kind scd
	Fixtures []Fixture       // to be run beside those of the module
}

// Verified is what verification found. Describe is zero if the module did not
// get as far as to say what it is.
type Verified struct {
	Describe abi.Describe
	Report   Report
}

// VerifyFunc is Verifier.Verify.
type VerifyFunc func(ctx context.Context, module []byte, expect Expect) (Verified, error)

// Verifier judges modules. It is safe for concurrent use and judges one at a
// time, since each may take the memory of a plugin four times.
type Verifier struct {
	compiler, interpreter *wasm.Host
	slot                  chan struct{}
	timeout               time.Duration
	life                  context.Context // ends with Close
	end                   context.CancelFunc
}

var errVerifierClosed = errors.New("the verifier is closed")

// NewVerifier starts the hosts that modules are tried on. What the modules log
// is dropped.
func NewVerifier(ctx context.Context) (*Verifier, error) {
	v := &Verifier{slot: make(chan struct{}, 1), timeout: verifyTimeout}
	v.life, v.end = context.WithCancel(context.WithoutCancel(ctx))
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if v.compiler, err = wasm.New(ctx, wasm.Config{Logger: quiet}); err != nil {
		return nil, err
	}
	if v.interpreter, err = wasm.New(ctx, wasm.Config{Logger: quiet, Interpreter: true}); err != nil {
		return nil, errors.Join(err, v.compiler.Close(ctx))
	}
	return v, nil
}

// Close ends a verification that runs, and frees the hosts.
func (v *Verifier) Close(ctx context.Context) error {
	v.end()
	v.slot <- struct{}{} // kept: nothing may call into a host that is closed
	return errors.Join(v.compiler.Close(ctx), v.interpreter.Close(ctx))
}

// Verify judges a module. Its error says that it could not: what is wrong with
// the module is in the report. Whatever the module does, it does not panic.
func (v *Verifier) Verify(ctx context.Context, module []byte, expect Expect) (Verified, error) {
	select {
	case v.slot <- struct{}{}:
		defer func() { <-v.slot }()
	case <-ctx.Done():
		return Verified{}, fmt.Errorf("wait for other verifications: %w", ctx.Err())
	case <-v.life.Done():
		return Verified{}, errVerifierClosed
	}
	limited, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	defer context.AfterFunc(v.life, cancel)()
	j := &judgement{verifier: v, module: module, expect: expect}
	j.run(limited)
	if err := ctx.Err(); err != nil {
		return Verified{}, fmt.Errorf("verify plugin: %w", err)
	}
	if v.life.Err() != nil {
		return Verified{}, errVerifierClosed
	}
	if limited.Err() != nil {
		j.fail(CheckLimits, fmt.Errorf("it did not come to an end within %s", v.timeout))
	}
	return Verified{Describe: j.describe, Report: j.report()}, nil
}

// judgement is one verification.
type judgement struct {
	verifier *Verifier
	module   []byte
	expect   Expect
	describe abi.Describe
	checks   map[CheckID]Check
	running  CheckID // for the report of a panic
}

// run goes through the checks until one fails.
func (j *judgement) run(ctx context.Context) {
	j.checks = map[CheckID]Check{}
	defer func() {
		if r := recover(); r != nil {
			j.fail(j.running, fmt.Errorf("the check panicked, which is a fault of calve that this module shows: %v", r))
		}
	}()
	j.running = CheckSize
	if n := len(j.module); n > MaxModuleBytes {
		j.fail(CheckSize, fmt.Errorf("the module has %d bytes, at most %d are accepted; strip its debug information, or build it smaller", n, MaxModuleBytes))
		return
	}
	j.pass(CheckSize, fmt.Sprintf("%d bytes", len(j.module)))
	j.running = CheckStructure
	compiled, ok := j.compile(ctx, j.verifier.compiler)
	if !ok {
		return
	}
	defer closing(ctx, compiled)
	j.describe = compiled.Describe()
	if !j.kind() || !j.contract(ctx, compiled) {
		return
	}
	j.running = CheckEngines
	interpreted, ok := j.compile(ctx, j.verifier.interpreter)
	if !ok {
		return
	}
	defer closing(ctx, interpreted)
	j.fixtures(ctx, compiled, interpreted)
}

// compile runs the checks of the host, and says which of them a module fails.
func (j *judgement) compile(ctx context.Context, host *wasm.Host) (*wasm.Plugin, bool) {
	p, err := host.Compile(ctx, j.module, verifyLimits())
	if err != nil {
		j.refuse(err)
		return nil, false
	}
	for _, name := range []CheckID{CheckStructure, CheckImports, CheckExports, CheckDescribe} {
		j.pass(name, "")
	}
	return p, true
}

func verifyLimits() wasm.Limits {
	return wasm.Limits{Budget: verifyBudget, OutputBytes: verifyOutput}
}

// refuse finds the check that an error of Compile belongs to, and those that
// were passed before it.
func (j *judgement) refuse(err error) {
	for _, rule := range []struct {
		sentinel error
		failed   CheckID
		passed   []CheckID
	}{
		{wasm.ErrRefusedImport, CheckImports, nil},
		{wasm.ErrMissingExport, CheckExports, []CheckID{CheckStructure, CheckImports}},
		{wasm.ErrBudget, CheckLimits, []CheckID{CheckStructure, CheckImports, CheckExports}},
		{wasm.ErrMemory, CheckLimits, []CheckID{CheckStructure, CheckImports, CheckExports}},
		{wasm.ErrDescription, CheckDescribe, []CheckID{CheckStructure, CheckImports, CheckExports}},
		{wasm.ErrTrap, CheckDescribe, []CheckID{CheckStructure, CheckImports, CheckExports}},
		{wasm.ErrOutput, CheckDescribe, []CheckID{CheckStructure, CheckImports, CheckExports}},
	} {
		if errors.Is(err, rule.sentinel) {
			for _, name := range rule.passed {
				j.pass(name, "")
			}
			j.fail(rule.failed, err)
			return
		}
	}
	j.fail(CheckStructure, err)
}

// kind checks that the module is of a kind that runs, and of the one expected,
// and that what it says of itself is whole for that kind.
func (j *judgement) kind() bool {
	j.running = CheckKind
	expected := j.expect.Kind
	if j.expect.Input != nil {
		expected = cmp.Or(expected, abi.KindTransform)
	}
	switch kind := j.describe.Kind; {
	case expected != "" && kind != expected:
		j.fail(CheckKind, fmt.Errorf("the plugin is of kind %q, %q is expected", kind, expected))
	case !slices.Contains(kinds, kind):
		j.fail(CheckKind, fmt.Errorf("the plugin is of kind %q; this version of calve runs the kinds %s", kind, strings.Join(kinds, ", ")))
	default:
		j.pass(CheckKind, kind)
		if err := trial.CheckDescription(j.describe); err != nil {
			j.fail(CheckDescribe, err)
			return false
		}
		return true
	}
	return false
}

// kinds is those that run.
var kinds = []string{abi.KindTransform, abi.KindSession, abi.KindSCD}

// contract opens the plugin as the model would.
func (j *judgement) contract(ctx context.Context, p *wasm.Plugin) bool {
	j.running = CheckContract
	if j.expect.Input == nil {
		j.skip(CheckContract, "no model is named to compare columns with")
		return true
	}
	opened, err := open(ctx, p, wasm.Init{
		Pipeline: "verify", Model: "verify", Config: j.expect.Config, Input: j.expect.Input, Output: j.expect.Output,
		Key: j.expect.Key, InForce: j.expect.InForce,
	})
	if err != nil {
		j.fail(CheckContract, err)
		return false
	}
	if err := opened.Close(ctx); err != nil {
		j.fail(CheckContract, err)
		return false
	}
	j.pass(CheckContract, "")
	return true
}

// open opens a plugin of any kind.
func open(ctx context.Context, p *wasm.Plugin, init wasm.Init) (interface{ Close(context.Context) error }, error) {
	switch p.Describe().Kind {
	case abi.KindSession:
		return p.OpenSession(ctx, init)
	case abi.KindSCD:
		return p.OpenSCD(ctx, init)
	}
	return p.Open(ctx, init)
}

// closing frees what a verification compiled; its instances are closed by then.
func closing(ctx context.Context, p *wasm.Plugin) { _ = p.Close(context.WithoutCancel(ctx)) }
