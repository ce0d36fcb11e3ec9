package fact

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/calvelake/calve/runtime/record/eventtime"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
)

// memberOf is a member that a foreign key refers to, nil for none.
func memberOf(foreign int, member []byte) []byte {
	if member == nil {
		return nil
	}
	return keyvalue.AppendBytes([]byte{byte(foreign)}, member)
}

// mayMove tells whether a change of a dimension may still change a foreign key.
func (e *ending) mayMove(to reference) bool {
	return to.member != nil && eventtime.After(to.until, e.rekey) > e.watermark
}

// holdReferring reads the facts whose members are others now than they were at
// their time, in as far as that may still change them.
func (e *ending) holdReferring() error {
	var keys [][]byte
	for i, d := range e.dimensions {
		if d == nil {
			continue
		}
		copies := len(e.foreign[i].spec.Copy) > 0
		for _, moved := range d.Moved() {
			if !moved.Keys && !copies {
				continue
			}
			member := memberOf(i, moved.Member)
			err := e.eachReferring(member, moved.From, moved.To, func(at, until int64, grain []byte) {
				if e.mayMove(reference{member: member, at: at, until: until}) {
					keys = append(keys, bytes.Clone(grain))
				}
			})
			if err != nil {
				return err
			}
		}
	}
	_, err := e.hold(keys)
	return err
}

// eachReferring visits the facts that refer to a member at times from from up to,
// but without, to. grain may be used during visit only.
func (o *Operator) eachReferring(member []byte, from, to int64, visit func(at, until int64, grain []byte)) error {
	prefix := keyspace.Key(spaceMembers, member)
	first := keyvalue.AppendTime(prefix[:len(prefix):len(prefix)], from)
	end := keyvalue.AppendTime(prefix[:len(prefix):len(prefix)], to)
	err := o.state.Scan(first, end, func(key, value []byte) (bool, error) {
		if len(key) < len(prefix)+8 || len(value) != 0 && len(value) != 8 {
			return false, fmt.Errorf("%w: a fact refers to a member with key %x", keyvalue.ErrCorrupt, key)
		}
		at := keyvalue.Time(key[len(prefix):])
		until := at
		if len(value) > 0 {
			until = keyvalue.Time(value)
		}
		visit(at, until, key[len(prefix)+8:])
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("read the facts of a member: %w", err)
	}
	return nil
}

// indexMember lets a member find a fact.
func (e *ending) indexMember(changes []keyvalue.Change, wasOf, of, grain []byte, before, now reference) []keyvalue.Change {
	if bytes.Equal(wasOf, of) && before.at == now.at && before.until == now.until {
		return changes
	}
	if wasOf != nil {
		changes = append(changes, keyvalue.Change{Key: referringKey(wasOf, before.at, grain)})
	}
	if !e.mayMove(now) {
		return changes
	}
	e.schedule(spaceUntil, of, now.until)
	value := []byte{}
	if now.until != now.at {
		value = keyvalue.AppendTime(value, now.until)
	}
	return append(changes, keyvalue.Change{Key: referringKey(of, now.at, grain), Value: value})
}

func referringKey(member []byte, at int64, grain []byte) []byte {
	key := append(make([]byte, 0, 9+len(member)+len(grain)), spaceMembers)
	return append(keyvalue.AppendTime(append(key, member...), at), grain...)
}

// forgetReferring forgets who refers to a member, where that changes no more.
func (e *ending) forgetReferring(changes []keyvalue.Change, member []byte, last int64) ([]keyvalue.Change, error) {
	var closed [][]byte
	err := e.eachReferring(member, always.from, last+1, func(at, until int64, grain []byte) {
		if until > last {
			return
		}
		changes = append(changes, keyvalue.Change{Key: referringKey(member, at, grain)})
		closed = append(closed, bytes.Clone(grain))
	})
	if err != nil || !e.appended {
		return changes, err
	}
	return e.forgetAppended(changes, closed)
}

// append writes a foreign key:
//
//	flags u8: 0 for none, else 1 and its columns, with 2 member and time, with 4 until when it may change
func (r *reference) append(to []byte) []byte {
	flags := byte(0)
	if r.known {
		flags |= 1
	}
	if r.member != nil {
		flags |= 2
	}
	if r.until != r.at {
		flags |= 4
	}
	if to = append(to, flags); !r.known {
		return to
	}
	to = keyvalue.AppendBytes(to, r.values)
	if r.member != nil {
		to = binary.AppendVarint(keyvalue.AppendBytes(to, r.member), r.at)
	}
	if r.until != r.at {
		to = binary.AppendVarint(to, r.until)
	}
	return to
}

func (r *reference) load(from *keyvalue.Reader) {
	switch flags := from.Byte(); flags {
	case 0:
	case 1, 3, 7:
		r.known, r.values = true, from.Bytes()
		if flags&2 != 0 {
			r.member, r.at = from.Bytes(), from.Varint()
			r.until = r.at
		}
		if flags&4 != 0 {
			r.until = from.Varint()
		}
	default:
		from.Fail("flags are out of range")
	}
}
