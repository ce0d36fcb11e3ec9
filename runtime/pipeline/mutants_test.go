package pipeline_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mutants are the rules that a build with the tag calve_mutant can drop, each
// with scenarios that then go wrong.
var mutants = []struct {
	rule      string
	scenarios []string
}{
	{"fence", []string{"two_writers", "two_writers_many_epochs", "record_lands_after_crash"}},
	{"repeat-unknown", []string{"record_reply_lost", "record_on_its_way"}},
	{"commit-before-next", []string{"commit_given_up"}},
	{"prev-epoch", []string{"zombie_after_record"}},
	{"look-first", []string{"commit_reply_lost", "crash_between_tables"}},
	{"floor-after-put", []string{"zombie_after_pruning"}},
	{"floor-after-tail", []string{"start_while_another_prunes"}},
	{"assert-head", []string{"rolled_back_in_a_commit", "foreign_append"}},
}

// TestMutantsAreCaught drops one rule of the epoch protocol at a time: every
// scenario that was written for it must fail, and none while all rules hold.
func TestMutantsAreCaught(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "mutant.test")
	if out, err := runWithout(t, "", "go", "test", "-tags", "calve_mutant", "-c", "-o", binary, "."); err != nil {
		t.Fatalf("build the mutants: %v\n%s", err, out)
	}
	var all []string
	for _, m := range mutants {
		all = append(all, m.scenarios...)
	}
	pattern := "^TestScenarios$/^(" + strings.Join(all, "|") + ")$"
	if out, err := runWithout(t, "none", binary, "-test.run", pattern); err != nil || !strings.HasPrefix(out, "PASS") {
		t.Fatalf("with all rules: %v\n%s", err, out)
	}
	for _, m := range mutants {
		t.Run(m.rule, func(t *testing.T) {
			out, err := runWithout(t, m.rule, binary, "-test.run", "^TestScenarios$/^("+strings.Join(m.scenarios, "|")+")$")
			if err == nil {
				t.Fatalf("without the rule %q nothing fails:\n%s", m.rule, out)
			}
			for _, scenario := range m.scenarios {
				if !strings.Contains(out, "--- FAIL: TestScenarios/"+scenario+" ") {
					t.Errorf("without the rule %q scenario %s does not fail:\n%s", m.rule, scenario, out)
				}
			}
		})
	}
}

// runWithout runs a command without one of the rules and returns what it
// prints.
func runWithout(t *testing.T, rule, name string, args ...string) (string, error) {
	// A rule that is missing may let a scenario go on without end; on a busy machine
	// it takes minutes to build them.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	command.Env = append(os.Environ(), "CALVE_MUTANT="+rule)
	out, err := command.CombinedOutput()
	return string(out), err
}
