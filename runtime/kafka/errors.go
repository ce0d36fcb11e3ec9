package kafka

import (
	"errors"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/calvelake/calve/runtime/record"
)

// Errors of Open, and of every call when a connection is lost and cannot be
// made again within the timeout.
var (
	// ErrUnreachable: no broker answered.
	ErrUnreachable = errors.New("no broker answers")
	// ErrTLS: one side speaks TLS and the other does not, or a certificate was
	// refused.
	ErrTLS = errors.New("TLS does not match")
	// ErrAuth: the brokers refuse the credentials, or what they allow.
	ErrAuth = errors.New("access refused")
)

// Errors of reading.
var (
	// ErrNoTopic: there is no topic, or no partition, of that name.
	ErrNoTopic = errors.New("topic does not exist")
	// ErrOrigin: the cluster or the topic is not the one that the position
	// belongs to (invariant 12).
	ErrOrigin = errors.New("topic is not the one that was read before")
	// ErrClosed: the client or the source was closed.
	ErrClosed = errors.New("closed")
)

// Errors of StartBroker.
var (
	// ErrPortInUse: another process listens on the address.
	ErrPortInUse = errors.New("port is in use")
	// ErrDirInUse: another process has the broker's folder open.
	ErrDirInUse = errors.New("folder is in use")
)

// ErrOffsetOutOfRange is a position that the partition does not hold: its
// records were deleted before they were read, or never existed.
type ErrOffsetOutOfRange struct {
	record.TopicPartition
	Offset     int64 // that was to be read next
	Start, End int64 // of what the partition holds, End exclusive; -1 if unknown
}

func (e *ErrOffsetOutOfRange) Error() string {
	if e.Start < 0 {
		return fmt.Sprintf("read %s at offset %d: the topic does not hold this offset: retention deleted it, or the topic was truncated", e.TopicPartition, e.Offset)
	}
	why := "the offset lies beyond the end; was the topic truncated or restored from a backup?"
	if e.Offset < e.Start {
		why = fmt.Sprintf("%d records were deleted by the topic's retention before they were read", e.Start-e.Offset)
	}
	return fmt.Sprintf("read %s at offset %d: the topic holds offsets %d to %d: %s", e.TopicPartition, e.Offset, e.Start, e.End, why)
}

// ErrDataLoss is a partition whose log was cut below what was already read
// (KIP-320): an unclean leader election took records back, and others may have
// their offsets now.
type ErrDataLoss struct {
	record.TopicPartition
	Offset int64 // that was to be read next
	End    int64 // the first offset at which the log differs from what was read
}

func (e *ErrDataLoss) Error() string {
	return fmt.Sprintf("read %s at offset %d: the brokers lost the records from offset %d on after they were read; other records may have these offsets now", e.TopicPartition, e.Offset, e.End)
}

// verdict is what to do about an error of a fetch.
type verdict uint8

const (
	retry   verdict = iota // the client library tries again by itself
	fatal                  // the source cannot go on
	recheck                // the topic may be gone: ask for it before deciding
)

// judge decides about an error of a fetch.
func judge(err error) verdict {
	switch {
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.InconsistentTopicID):
		return recheck // also said for a moment after a topic was created
	case kerr.IsRetriable(err), kgo.IsRetryableBrokerErr(err):
		return retry
	}
	return fatal
}

// isAuth tells whether the brokers refused credentials or an operation.
func isAuth(err error) bool {
	for _, refused := range []error{
		kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState,
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
	} {
		if errors.Is(err, refused) {
			return true
		}
	}
	return false
}

// isKafkaError tells whether a broker said it: there is a Kafka to talk to.
func isKafkaError(err error) bool {
	var coded *kerr.Error
	return errors.As(err, &coded)
}

// isDialError tells whether no connection could be made.
func isDialError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
