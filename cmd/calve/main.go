// Command calve carries Kafka topics into Iceberg tables.
//
// Exit codes: 0 success; 1 something failed while running; 2 the command line
// or the project is wrong; 3 another writer has taken over the pipeline; 4 an
// epoch is recorded but not committed yet, and the next run will commit it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/project"
)

func main() { os.Exit(run(os.Args[1:])) }

const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 2
	exitFenced       = 3
	exitNotCommitted = 4
)

// run executes a command. The first SIGINT or SIGTERM asks it to finish and
// commit what it has in hand; a second one kills it, which loses nothing
// either.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(os.Stderr, "calve: "+err.Error())
	return exitCode(err)
}

// usageError marks what the user typed wrongly.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitCode(err error) int {
	var usage usageError
	var projectErrors project.Errors
	switch {
	case errors.As(err, &usage), errors.As(err, &projectErrors):
		return exitUsage
	case errors.Is(err, lakehouse.ErrFenced):
		return exitFenced
	case errors.Is(err, lakehouse.ErrNotCommitted), errors.Is(err, lakehouse.ErrUndecided):
		return exitNotCommitted
	}
	return exitFailure
}
