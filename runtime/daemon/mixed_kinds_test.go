package daemon_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/calvelake/calve/examples"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// clicks makes the records of a topic: the requests of the weblog example as
// click events in JSON. Of each ten one is broken, in one of the ways of
// brokenKinds in turn, one is written in an unusual way that is legal, and
// every other time one is left out by the model's where. Record i is always
// the same.
type clicks struct{ requests []request }

// request is a line of the access log.
type request struct {
	line   string
	fields []string // client, time, method, path, status, bytes, agent
}

var logLine = regexp.MustCompile(`^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) ([^"]*) HTTP/[\d.]+" (\d+) (\d+|-) "[^"]*" "([^"]*)"$`)

func newClicks() (*clicks, error) {
	example, files, ok := examples.Find("weblog")
	if !ok {
		return nil, fmt.Errorf("there is no example weblog")
	}
	text, err := fs.ReadFile(files, example.Topics[0].File)
	if err != nil {
		return nil, err
	}
	c := &clicks{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if fields := logLine.FindStringSubmatch(line); fields != nil {
			c.requests = append(c.requests, request{line, fields[1:]})
		}
	}
	if len(c.requests) < 9_000 {
		return nil, fmt.Errorf("%d lines of the example were understood", len(c.requests))
	}
	return c, nil
}

// kind is a way to write a click, and what becomes of it.
type kind struct {
	name string
	code string // of its dead letter under the strict model; "" for none
	// relaxed is what becomes of the letter under the relaxed model; a letter
	// that is refused again has the same reason.
	relaxed lakehouse.Outcome
	left    bool // left out by where
	value   func(*click) []byte
}

// kindOf is the kind of record i.
func kindOf(i int64) *kind {
	ten := i / 10
	switch broken := int64(mix(uint64(ten)) % 10); {
	case i%10 == broken:
		return &brokenKinds[ten%int64(len(brokenKinds))]
	case i%10 == (broken+1)%10:
		return &legalKinds[ten%int64(len(legalKinds))]
	case i%10 == (broken+2)%10 && ten%2 == 0:
		return &heartbeat
	}
	return &plain
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// value is the value of record i; nil is a tombstone.
func (c *clicks) value(i int64) []byte { return kindOf(i).value(c.click(i)) }

// click is an event whose members can be changed before it is written.
type click struct {
	index   int64
	line    string
	members []member
}

type member struct{ name, value string } // the value as JSON text

// secondsBetween clicks: a million span half a year.
const secondsBetween = 17

func (c *clicks) click(i int64) *click {
	r := c.requests[mix(uint64(i))%uint64(len(c.requests))]
	client, method, path, status, size, agent := r.fields[0], r.fields[2], r.fields[3], r.fields[4], r.fields[5], r.fields[6]
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * secondsBetween * time.Second)
	if size == "-" {
		size = "null"
	}
	rank := mix(uint64(i) + 1<<32)
	return &click{index: i, line: r.line, members: []member{
		{"event", `"click"`},
		{"id", fmt.Sprintf(`"c-%09d"`, i)},
		{"seq", strconv.FormatInt(i, 10)},
		{"at", at.Format(`"2006-01-02T15:04:05Z"`)},
		{"day", at.Format(`"2006-01-02"`)},
		{"client", quoted(client)},
		{"method", quoted(method)},
		{"path", quoted(path)},
		{"status", status},
		{"bytes", size},
		{"agent", quoted(agent)},
		{"items", strconv.FormatUint(1+rank%9, 10)},
		{"price", fmt.Sprintf("%d.%02d", rank%10_000, rank>>20%100)},
		{"latency", fmt.Sprintf("0.%03d", rank>>30%1000)},
		{"secure", strconv.FormatBool(rank&1 == 0)},
		{"geo", fmt.Sprintf(`{"country":%q,"city":"x"}`, []string{"DE", "FR", "JP", "BR"}[rank>>8%4])},
		{"tags", `["web","v1"]`},
		{"props", `{"theme":"dark"}`},
		{"token", quoted(base64.StdEncoding.EncodeToString([]byte(client)))},
	}}
}

func quoted(text string) string {
	out, _ := json.Marshal(text) // a string always encodes
	return string(out)
}

// set replaces a member, removes it where value is "", or adds it.
func (c *click) set(name, value string) {
	at := slices.IndexFunc(c.members, func(m member) bool { return m.name == name })
	switch {
	case at < 0:
		c.members = append(c.members, member{name, value})
	case value == "":
		c.members = slices.Delete(c.members, at, at+1)
	default:
		c.members[at].value = value
	}
}

func (c *click) text() []byte {
	out := []byte{'{'}
	for i, m := range c.members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(append(out, '"'), m.name...), `":`...), m.value...)
	}
	return append(out, '}')
}

// with sets members, by name and value in turn.
func with(members ...string) func(*click) []byte {
	return func(c *click) []byte {
		for i := 0; i < len(members); i += 2 {
			c.set(members[i], members[i+1])
		}
		return c.text()
	}
}

// rewritten replaces the first occurrence in the text.
func rewritten(from, to string) func(*click) []byte {
	return func(c *click) []byte { return bytes.Replace(c.text(), []byte(from), []byte(to), 1) }
}

func value(text string) func(*click) []byte {
	return func(*click) []byte { return []byte(text) }
}

const (
	refused  = lakehouse.Refused
	replayed = lakehouse.Replayed
)

var (
	plain     = kind{name: "plain", value: (*click).text}
	heartbeat = kind{name: "heartbeat, which no test and no derived column sees", left: true,
		value: with("event", `"heartbeat"`, "items", "0", "method", `"BEAT"`, "price", "-1")}
)

// brokenKinds are the ways in which records are broken for the strict model.
var brokenKinds = []kind{
	// No JSON.
	{name: "truncated", code: record.CodeMalformed, relaxed: refused, value: func(c *click) []byte {
		text := c.text()
		return text[:1+mix(uint64(c.index))%uint64(len(text)-1)]
	}},
	{name: "trailing garbage", code: record.CodeMalformed, relaxed: refused, value: func(c *click) []byte { return append(c.text(), "}, null"...) }},
	{name: "two documents", code: record.CodeMalformed, relaxed: refused, value: func(c *click) []byte { return append(c.text(), "\n{}"...) }},
	{name: "invalid UTF-8", code: record.CodeMalformed, relaxed: refused, value: with("agent", "\"M\xfcnchen\"")},
	{name: "number with a leading zero", code: record.CodeMalformed, relaxed: refused, value: with("items", "007")},
	{name: "no number of JSON", code: record.CodeMalformed, relaxed: refused, value: with("latency", "NaN")},
	{name: "control character in a string", code: record.CodeMalformed, relaxed: refused, value: with("agent", "\"a\tb\"")},
	{name: "empty, which is not null", code: record.CodeMalformed, relaxed: refused, value: value("")},
	{name: "line of text", code: record.CodeMalformed, relaxed: refused, value: func(c *click) []byte { return []byte(c.line) }},
	// JSON of another shape.
	{name: "array of events", code: record.CodeType, relaxed: refused, value: func(c *click) []byte { return append(append([]byte{'['}, c.text()...), ']') }},
	{name: "JSON null", code: record.CodeType, relaxed: refused, value: value(" null ")},
	{name: "path through a scalar", code: record.CodeType, relaxed: refused, value: with("geo", `"DE"`)},
	{name: "scalar after an object of the same name", code: record.CodeType, relaxed: refused, value: rewritten(`"tags":`, `"geo":7,"tags":`)},
	// Values that are not of their type.
	{name: "text for an int", code: record.CodeType, relaxed: refused, value: with("status", `"200"`)},
	{name: "fraction for an int", code: record.CodeType, relaxed: refused, value: with("items", "1.5")},
	{name: "int out of range", code: record.CodeType, relaxed: replayed, value: with("bytes", "2147483648")},
	{name: "int out of range, and left out once it is in range", code: record.CodeType, relaxed: lakehouse.Filtered, value: with("bytes", "-2147483649", "event", `"heartbeat"`)},
	{name: "decimal too wide", code: record.CodeType, relaxed: replayed, value: with("price", "123456789.01")},
	{name: "decimal with too many places", code: record.CodeType, relaxed: refused, value: with("price", `"12.345"`)},
	{name: "date that does not exist", code: record.CodeType, relaxed: refused, value: with("day", `"2026-02-30"`)},
	{name: "time without an offset", code: record.CodeType, relaxed: refused, value: with("at", `"2026-05-01T10:00:00"`)},
	{name: "text for a boolean", code: record.CodeType, relaxed: refused, value: with("secure", `"yes"`)},
	{name: "number for a string", code: record.CodeType, relaxed: refused, value: with("client", "83")},
	{name: "number in a list of strings", code: record.CodeType, relaxed: refused, value: with("tags", `["web",1]`)},
	{name: "no base64", code: record.CodeType, relaxed: refused, value: with("token", `"a*b="`)},
	// Values that must be there.
	{name: "no id", code: record.CodeMissing, relaxed: replayed, value: with("id", "")},
	{name: "null id", code: record.CodeMissing, relaxed: replayed, value: with("id", "null")},
	{name: "id that a later one takes back", code: record.CodeMissing, relaxed: replayed, value: rewritten(`"seq":`, `"id":null,"seq":`)},
	{name: "change event of a database", code: record.CodeMissing, relaxed: replayed, value: func(c *click) []byte {
		return fmt.Appendf(nil, `{"before":null,"after":%s,"source":{"connector":"postgresql","ts_ms":1},"op":"c","ts_ms":2}`, c.text())
	}},
	// Records that are not looked at.
	{name: "too large", code: record.CodeTooLarge, relaxed: replayed, value: func(c *click) []byte {
		c.set("agent", quoted(strings.Repeat("x", 2_048)))
		return c.text()
	}},
	{name: "tombstone", code: record.CodeTombstone, relaxed: refused, value: func(*click) []byte { return nil }},
	// What the model computes and tests.
	{name: "division by zero", code: record.CodeExpression, relaxed: replayed, value: with("items", "0")},
	{name: "none of the accepted values", code: record.CodeTest, relaxed: replayed, value: with("method", `"BREW"`)},
	{name: "outside the accepted range", code: record.CodeTest, relaxed: replayed, value: with("status", "999")},
	{name: "against the expression", code: record.CodeTest, relaxed: replayed, value: with("price", "-0.01")},
	{name: "two tests at once", code: record.CodeTest, relaxed: replayed, value: with("price", "-0.01", "status", "0")},
}

// legalKinds are unusual, and rows all the same.
var legalKinds = []kind{
	{name: "last of two members", value: rewritten(`"seq":`, `"seq":-1,"seq":`)},
	{name: "last of two members, of which the first is of a wrong type", value: rewritten(`"seq":`, `"seq":["x"],"seq":`)},
	{name: "object after a scalar of the same name", value: rewritten(`"geo":`, `"geo":7,"geo":`)},
	{name: "name twice, once escaped", value: rewritten(`"seq":`, `"\u0073eq":-1,"seq":`)},
	{name: "escaped name", value: rewritten(`"seq":`, `"s\u0065q":`)},
	{name: "half a surrogate pair", value: with("agent", `"a\ud800b"`)},
	{name: "surrogate pair and UTF-8", value: with("agent", `"\ud83d\ude00 é 日本"`)},
	{name: "white space", value: func(c *click) []byte {
		text := bytes.ReplaceAll(c.text(), []byte(`,"`), []byte(" ,\r\n\t\""))
		return append(append([]byte(" \n"), text...), "\n "...)
	}},
	{name: "optional members missing", value: with("agent", "", "geo", "", "tags", "", "bytes", "")},
	{name: "optional members null", value: with("agent", "null", "geo", "null", "tags", "null", "bytes", "null")},
	{name: "object on the path without the member", value: with("geo", `{}`)},
	{name: "unknown members", value: rewritten(`"seq":`, `"more":{"a":[1,{"b":null}],"n":1e999},"":0,"seq":`)},
	{name: "deep unknown member", value: rewritten(`"seq":`, `"deep":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+`,"seq":`)},
	{name: "members the other way round", value: func(c *click) []byte {
		slices.Reverse(c.members)
		return c.text()
	}},
	{name: "decimal as text, with zeros behind", value: with("price", `"12.3000"`)},
	{name: "exponent", value: with("latency", "-1.5E-3", "price", "1.2e1")},
	{name: "ends of the ranges", value: with("bytes", "2147483647", "price", "99999999.99", "status", "599")},
	{name: "finer and zoned time", value: with("at", `"2026-05-01T10:00:00.1234567+05:30"`)},
	{name: "empty values", value: with("tags", "[]", "props", "{}", "agent", `""`, "token", `""`)},
}
