package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/record"
)

func TestALineIsReadBackAsTheRecordWas(t *testing.T) {
	const key, value = `{"id":1}`, `{"name":"<a & b>","total": 1.50}`
	var text bytes.Buffer
	out := bufio.NewWriter(&text)
	for _, r := range []record.Record{
		{Timestamp: 1767603600123456, Key: []byte(key), Value: []byte(value)},
		{Timestamp: 1767603600124000, Key: []byte(key)},
	} {
		if err := writeLine(out, recorded(r)); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r, err := range kafka.Recorded(&text) {
		if err != nil {
			t.Fatal(err)
		}
		tombstone := ""
		if r.Value == nil {
			tombstone = "tombstone"
		}
		got = append(got, r.Timestamp.UTC().Format("15:04:05.000 ")+string(r.Key)+string(r.Value)+tombstone)
	}
	want := []string{"09:00:00.123 " + key + value, "09:00:00.124 " + key + "tombstone"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestRecordsOfAPartitionStayInOrder(t *testing.T) {
	good := []event{{partition: 1}, {partition: 0}, {partition: 1, offset: 1}}
	if err := inOrder(good); err != nil {
		t.Error(err)
	}
	if err := inOrder([]event{good[2], good[0]}); err == nil || !strings.Contains(err.Error(), "partition 1: offset 1 comes where 0 belongs") {
		t.Errorf("got error %v, want one of partition 1", err)
	}
}
