package lakehouse

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync/atomic"
)

// NewNonce returns a writer's nonce: 8 random bytes in hex, new for every
// process, so that no two writers ever share an object name.
func NewNonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// Names hands out the object names of one writer in one epoch:
// <epoch>-<writer nonce>-<seq>. Safe for concurrent use.
type Names struct {
	epoch int64
	nonce string
	seq   *atomic.Int64
}

// Names returns the names of an epoch. The sequence runs on over the life of
// the lake, so that a second attempt at an epoch meets no name of the first.
func (l *Lake) Names(epoch int64) *Names { return &Names{epoch: epoch, nonce: l.nonce, seq: &l.seq} }

// Next returns a name that no object has had.
func (n *Names) Next() string {
	return fmt.Sprintf("%d-%s-%d", n.epoch, n.nonce, n.seq.Add(1))
}
