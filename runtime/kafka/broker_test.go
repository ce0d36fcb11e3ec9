package kafka

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/record"
)

func startBroker(t *testing.T, dir string) *Broker {
	t.Helper()
	b, err := StartBroker(BrokerConfig{Dir: dir, Listen: "127.0.0.1:0", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestBrokerKeepsEverythingAcrossARestart(t *testing.T) {
	dir := t.TempDir()
	before := startBroker(t, dir)
	c := open(t, before.Addr())
	produce(t, c, "t", "0", "1", "2")
	position := starts(t, c, "t")[0]
	s := newSource(t, c, position)
	epoch := read(t, c, s, []record.Position{position})[tp("t", 0)].epoch
	s.Close()
	c.Close()
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}

	c = open(t, startBroker(t, dir).Addr())
	again := starts(t, c, "t")[0]
	if again.Origin != position.Origin || position.ClusterID == "" || position.TopicID == "" {
		t.Errorf("origin: got %v, before the restart %v; want the same, both ids set", again.Origin, position.Origin)
	}
	produce(t, c, "t", "3")
	position.Offset, position.LeaderEpoch = 2, epoch
	got := read(t, c, newSource(t, c, position), []record.Position{position})[tp("t", 0)]
	if join(got.values) != "2 3" {
		t.Errorf("from offset 2 on: got values %v, want 2 3", got.values)
	}
}

// A copy of the folder of a running broker is what a crash leaves.
func TestBrokerKeepsWhatWasAcknowledgedBeforeACrash(t *testing.T) {
	dir, crashed := t.TempDir(), t.TempDir()
	c := open(t, startBroker(t, dir).Addr())
	for i := range 20 {
		produce(t, c, fmt.Sprintf("t%d", i%2), fmt.Sprint(i))
	}
	positions := starts(t, c, "t0", "t1")
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	c = open(t, startBroker(t, crashed).Addr())
	got := read(t, c, newSource(t, c, positions...), positions) // refuses another cluster or topic
	if a, b := len(got[tp("t0", 0)].values), len(got[tp("t1", 0)].values); a != 10 || b != 10 {
		t.Errorf("records after the crash: got %d and %d, want 10 and 10", a, b)
	}
}

func TestBrokersAreDifferentClusters(t *testing.T) {
	a, b := open(t, startBroker(t, t.TempDir()).Addr()), open(t, startBroker(t, "").Addr())
	if a.Cluster() == "" || a.Cluster() == b.Cluster() {
		t.Errorf("cluster ids: got %q and %q, want two", a.Cluster(), b.Cluster())
	}
}

func TestBrokerNamesAPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	_, err = StartBroker(BrokerConfig{Dir: dir, Listen: taken.Addr().String(), Logger: quiet})
	wantError(t, err, ErrPortInUse, taken.Addr().String(), "another address")
	startBroker(t, dir) // the folder is free again
}

func TestBrokerNamesAFolderInUse(t *testing.T) {
	dir := t.TempDir()
	first := startBroker(t, dir)
	_, err := StartBroker(BrokerConfig{Dir: dir, Listen: "127.0.0.1:0", Logger: quiet})
	wantError(t, err, ErrDirInUse, dir, "another process")
	if err := errors.Join(first.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	startBroker(t, dir)
}

func TestBrokerRefusesAddressesThatNobodyCanReach(t *testing.T) {
	for _, address := range []string{":9092", "0.0.0.0:0", "[::]:0", "localhost"} {
		_, err := StartBroker(BrokerConfig{Listen: address, Logger: quiet})
		if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), DefaultListen) {
			t.Errorf("listen on %s: got error %v, want one that names it and an example", address, err)
		}
	}
}

// A source outlives the broker: it goes on when the broker is back.
func TestSourceGoesOnAfterABrokerRestart(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, dir)
	address := b.Addr()
	c := open(t, address)
	produce(t, c, "t", "0")
	positions := starts(t, c, "t")
	s := newSource(t, c, positions...)
	if got := read(t, c, s, positions)[tp("t", 0)]; join(got.values) != "0" {
		t.Fatalf("got values %v, want 0", got.values)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := StartBroker(BrokerConfig{Dir: dir, Listen: address, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	again := open(t, address)
	produce(t, again, "t", "1")
	positions[0].Offset = 1
	if got := read(t, again, s, positions)[tp("t", 0)]; join(got.values) != "1" {
		t.Errorf("after the restart: got values %v, want 1", got.values)
	}
}
