package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// BuildGoPlugin compiles a Go plugin's folder to a module with the go tool.
func BuildGoPlugin(ctx context.Context, source, target string) error {
	build := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-o", target, ".")
	build.Dir = source
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=-buildvcs=false")
	var messages bytes.Buffer
	build.Stdout, build.Stderr = &messages, &messages
	err := build.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("build plugin %s: the go command is not on the PATH; install Go", source)
	}
	if err != nil {
		return fmt.Errorf("build plugin %s: %w\n%s", source, err, messages.String())
	}
	return nil
}
