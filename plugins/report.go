package plugins

// CheckID names a check of a module.
type CheckID string

// The checks, in the order in which a report lists them.
const (
	CheckSize      CheckID = "size"      // of the module
	CheckStructure CheckID = "structure" // it is WebAssembly that can be run within bounds
	CheckImports   CheckID = "imports"   // it imports nothing but what plugins are offered
	CheckExports   CheckID = "exports"   // it exports what the ABI asks for
	CheckDescribe  CheckID = "describe"  // it says what it is
	CheckKind      CheckID = "kind"      // of a kind that runs, and the one that is expected
	CheckContract  CheckID = "contract"  // its columns are those of the model
	CheckFixtures  CheckID = "fixtures"  // its fixtures give what they say
	CheckInstances CheckID = "instances" // an instance that was used answers as a fresh one
	CheckEngines   CheckID = "engines"   // compiled and interpreted answer alike
	CheckLimits    CheckID = "limits"    // of work, memory, output and time
)

var checkNames = []CheckID{
	CheckSize, CheckStructure, CheckImports, CheckExports, CheckDescribe, CheckKind, CheckContract,
	CheckFixtures, CheckInstances, CheckEngines, CheckLimits,
}

// Result is how a check ended.
type Result string

// The results.
const (
	Passed  Result = "passed"
	Failed  Result = "failed"
	Skipped Result = "skipped" // there was nothing to check, or a check before it failed
)

// Check is one check of a module.
type Check struct {
	Name   CheckID `json:"name"`
	Result Result  `json:"result"`
	Detail string  `json:"detail,omitempty"`
}

// Report is what verification found, a Check for each CheckID.
type Report struct {
	Checks []Check `json:"checks"`
}

// OK tells whether no check failed.
func (r Report) OK() bool {
	for _, c := range r.Checks {
		if c.Result == Failed {
			return false
		}
	}
	return len(r.Checks) > 0
}

// maxDetail bounds the text of a check: a guest writes part of it.
const maxDetail = 4000

// set records a check; a failure stays.
func (j *judgement) set(c Check) {
	if len(c.Detail) > maxDetail {
		c.Detail = c.Detail[:maxDetail] + " …"
	}
	if j.checks[c.Name].Result != Failed {
		j.checks[c.Name] = c
	}
}

func (j *judgement) pass(name CheckID, detail string) { j.set(Check{name, Passed, detail}) }
func (j *judgement) skip(name CheckID, detail string) { j.set(Check{name, Skipped, detail}) }
func (j *judgement) fail(name CheckID, err error)     { j.set(Check{name, Failed, err.Error()}) }

func (j *judgement) failed() bool {
	for _, c := range j.checks {
		if c.Result == Failed {
			return true
		}
	}
	return false
}

// report lists all checks; one that was not reached is skipped.
func (j *judgement) report() Report {
	if _, ok := j.checks[CheckLimits]; !ok && !j.failed() {
		j.pass(CheckLimits, "")
	}
	r := Report{Checks: make([]Check, len(checkNames))}
	for i, name := range checkNames {
		c, ok := j.checks[name]
		if !ok {
			c = Check{name, Skipped, "not reached"}
		}
		r.Checks[i] = c
	}
	return r
}
