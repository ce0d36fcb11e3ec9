//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// exitFenced is calve's exit code for a writer that another has replaced.
const exitFenced = 3

// writer is one `calve run`.
type writer struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the process has ended and been waited for
}

// startWriter starts a writer, its output in a file of its own. It ends with ctx at
// the latest.
func startWriter(ctx context.Context, o options, name string, arguments ...string) (*writer, error) {
	w := &writer{log: filepath.Join(o.logs, name+".log"), done: make(chan struct{})}
	out, err := os.Create(w.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	w.cmd = exec.CommandContext(ctx, o.calve, append([]string{"run", "--project", o.project}, arguments...)...)
	w.cmd.Stdout, w.cmd.Stderr = out, out
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start writer %s: %w", name, err)
	}
	go func() {
		_ = w.cmd.Wait() // code says how it ended
		close(w.done)
	}()
	return w, nil
}

// signal sends a signal, unless the process has ended.
func (w *writer) signal(s syscall.Signal) error {
	err := w.cmd.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// kill ends the process with SIGKILL, which a frozen one takes too, and waits for it.
func (w *writer) kill() error {
	if err := w.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", w.log, err)
	}
	<-w.done
	return nil
}

// killed tells whether the process ended by SIGKILL, and not by itself before it.
func (w *writer) killed() bool {
	status, ok := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// code is the exit code of a process that ended by itself.
func (w *writer) code() int { return w.cmd.ProcessState.ExitCode() }

// wait waits until the process ends by itself.
func (w *writer) wait(ctx context.Context, limit time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-w.done:
		return nil
	case <-bounded.Done():
		return errors.Join(fmt.Errorf("wait for a writer to end: %w\n%s", bounded.Err(), w.tail()), w.kill())
	}
}

// says counts the lines of the log with a message.
func (w *writer) says(message string) int {
	text, err := os.ReadFile(w.log)
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "msg=\""+message+"\"")
}

// tail is the end of the log, for messages.
func (w *writer) tail() string {
	text, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return w.log + ":\n" + strings.Join(lines[max(0, len(lines)-15):], "\n")
}
