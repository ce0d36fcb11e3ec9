package server_test

import (
	"testing"

	"github.com/calvelake/calve/catalog/server"
	"github.com/calvelake/calve/catalog/server/servertest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	servertest.Run(t, func(*testing.T) server.Storage { return server.NewMemory() })
}
