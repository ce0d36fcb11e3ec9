package main

import (
	"net"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
)

func TestStatusShowsAProject(t *testing.T) {
	dir := writeProject(t, ordersModel)
	if got := mustCalve(t, "", "status", "--project", dir); !strings.Contains(got, "pipeline shop has no epoch yet") {
		t.Errorf("before the first run it prints\n%s", got)
	}
	mustCalve(t, "{\"id\":1,\"item\":\"tea\"}\n{\"id\":2}\nbroken\n", "produce", "orders", "--project", dir)
	mustCalve(t, "", "run", "--once", "--project", dir)
	text := mustCalve(t, "", "status", "--project", dir)
	for _, part := range []string{"pipeline shop: epoch 1, ", "ago, by writer ", "WATERMARK", "staging", "main", "malformed", "lag is not known: the embedded broker listens on any free port"} {
		if !strings.Contains(text, part) {
			t.Errorf("status does not print %q:\n%s", part, text)
		}
	}
	var s daemon.Status
	parse(t, mustCalve(t, "", "status", "--project", dir, "--output", "json"), &s)
	if s.Epoch == nil || s.Epoch.Number != 1 || len(s.Models) != 1 || s.Models[0].Rows == nil || *s.Models[0].Rows != 2 || s.Broker.Answers {
		t.Errorf("got %+v", s)
	}
	if len(s.DeadLetters) != 1 || s.DeadLetters[0].Open != 1 {
		t.Errorf("dead letters are %+v", s.DeadLetters)
	}
}

func TestRunRefusesWrongAddressesOfMetrics(t *testing.T) {
	dir := writeProject(t, ordersModel)
	if o := calve(t, "", "run", "--once", "--project", dir, "--metrics", "9464"); o.code != exitUsage || !strings.Contains(o.errors, "expected host:port") {
		t.Errorf("exit code %d\n%s", o.code, o.errors)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if o := calve(t, "", "run", "--once", "--project", dir, "--metrics", taken.Addr().String()); o.code != exitFailure || !strings.Contains(o.errors, "choose another address with --metrics") {
		t.Errorf("exit code %d\n%s", o.code, o.errors)
	}
}
