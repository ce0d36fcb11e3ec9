package registry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

const (
	magic  = 0 // the id follows, in 4 bytes
	magic1 = 1 // a GUID follows, in 16 bytes
	prefix = 5 // bytes of magic and id
	// maxIndexes bounds the depth of a Protobuf message in others; protoc
	// allows 32.
	maxIndexes = 64
)

// firstMessage is the path of the first message of a file, which nearly all
// records have.
var firstMessage = []int{0}

// Parse splits a key or value in the wire format of Confluent's serializers:
// byte 0, the schema's id as 4 bytes big-endian, and the rest, which for
// Protobuf begins with message indexes. An error means that the bytes are not
// in that format.
//
// Source: Confluent, "Wire format",
// https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
func Parse(value []byte) (id int, rest []byte, err error) {
	switch {
	case len(value) == 0:
		return 0, nil, errors.New("it is empty; expected the wire format of a schema registry: byte 0, a schema id of 4 bytes, data")
	case value[0] == magic1:
		return 0, nil, errors.New("it begins with byte 1, which a schema's GUID follows; expected byte 0 and a schema id: set the producer's schema id serializer to the one that writes ids")
	case value[0] != magic:
		return 0, nil, fmt.Errorf("it begins with byte 0x%02x; expected byte 0 and a schema id: it was written without a schema registry, or with the schema's GUID in header __value_schema_id or __key_schema_id, which is not read", value[0])
	case len(value) < prefix:
		return 0, nil, fmt.Errorf("it has %d of the 5 bytes that the wire format of a schema registry begins with: byte 0 and a schema id of 4", len(value))
	}
	number := binary.BigEndian.Uint32(value[1:prefix])
	if number > math.MaxInt32 {
		return 0, nil, fmt.Errorf("its bytes 1 to 4 are 0x%08x; expected a schema id, which is positive: it was written without a schema registry", number)
	}
	return int(number), value[prefix:], nil
}

// Indexes splits off the message indexes that a Protobuf message begins with,
// after Parse: the path, from the file's messages inwards, to the message's
// type. On the wire it is a count and as many indexes, all zigzag varints; a
// count of 0 is short for path 0, the file's first message. The path is not to
// be changed.
//
// Source: Confluent, "Wire format", as for Parse.
func Indexes(data []byte) (path []int, rest []byte, err error) {
	count, n := binary.Varint(data)
	switch {
	case n <= 0:
		return nil, nil, errors.New("the count of its message indexes is no varint; expected the Protobuf wire format of a schema registry")
	case count == 0:
		return firstMessage, data[n:], nil
	case count < 0 || count > maxIndexes:
		return nil, nil, fmt.Errorf("it has %d message indexes; expected 0 to %d", count, maxIndexes)
	}
	path, rest = make([]int, count), data[n:]
	for i := range path {
		index, n := binary.Varint(rest)
		if n <= 0 {
			return nil, nil, fmt.Errorf("message index %d of %d is no varint; expected the Protobuf wire format of a schema registry", i+1, count)
		}
		if index < 0 || index > math.MaxInt32 {
			return nil, nil, fmt.Errorf("message index %d of %d is %d; expected the number of a message, from 0", i+1, count, index)
		}
		path[i], rest = int(index), rest[n:]
	}
	return path, rest, nil
}
