package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
)

func (s *settings) newDLQShow() *cobra.Command {
	var raw bool
	cmd := s.letterWork(&cobra.Command{
		Use:   "show LETTER_ID",
		Short: "Show a dead letter whole, and what became of it",
		Example: `  calve dlq show 9f86d081884c7d659a2feaa0c55ad015 --project shop
  calve dlq show 9f86d081884c7d659a2feaa0c55ad015 --project shop --raw > record.bin`,
		Args: exactArgs("LETTER_ID"),
	}, func(ctx context.Context, d *daemon.DeadLetters, out io.Writer, args []string) error {
		if !lakehouse.IsLetterID(args[0]) {
			return usageError{fmt.Errorf("%q is no letter id: expected 32 hexadecimal digits, as calve dlq list --letters shows them", args[0])}
		}
		letter, err := d.Show(ctx, args[0])
		switch {
		case err != nil:
			return err
		case raw && letter.Record.Value == nil:
			return errors.New("the record has no value (a tombstone): there are no bytes to write")
		case raw:
			_, err = out.Write(letter.Record.Value)
			return err
		case s.output == "json":
			return writeJSON(out, shownLetter(letter))
		}
		return printLetter(out, letter)
	})
	cmd.Flags().BoolVar(&raw, "raw", false, "write the record's value as it is, and nothing else")
	return cmd
}

// letterReport is what calve dlq show prints with --output json. Bytes are in
// base64, and as text beside it where they are UTF-8; null stands for null.
type letterReport struct {
	lakehouse.ListedLetter
	Epoch        int64            `json:"epoch"`
	PluginDigest string           `json:"plugin_digest,omitempty"`
	ClusterID    string           `json:"kafka_cluster_id"`
	TopicID      string           `json:"kafka_topic_id"`
	Timestamp    time.Time        `json:"kafka_timestamp"`
	Key          *bytesReport     `json:"key"`
	Value        *bytesReport     `json:"value"`
	Headers      []headerReport   `json:"headers"`
	History      []resolvedReport `json:"history"`
}

type bytesReport struct {
	Base64 []byte  `json:"base64"`
	Text   *string `json:"text,omitempty"`
}

type headerReport struct {
	Key   string       `json:"key"`
	Value *bytesReport `json:"value"`
}

type resolvedReport struct {
	Resolution   lakehouse.Outcome `json:"resolution"`
	Epoch        int64             `json:"epoch"`
	Request      string            `json:"request"`
	Reason       string            `json:"reason,omitempty"` // of a refusal
	Message      string            `json:"message,omitempty"`
	PluginDigest string            `json:"plugin_digest,omitempty"`
}

func shownLetter(h *lakehouse.LetterHistory) letterReport {
	out := letterReport{
		ListedLetter: lakehouse.ListedLetter{
			ID: h.ID().String(), State: lakehouse.StateOpen, Model: h.Model, Reason: h.Reason, Column: h.Column, Message: h.Message,
			Topic: h.Topic, Partition: h.Partition, Offset: h.Record.Offset, IngestedAt: time.UnixMicro(h.IngestedAt).UTC(),
		},
		Epoch: h.Epoch, PluginDigest: h.PluginDigest, ClusterID: h.ClusterID, TopicID: h.TopicID,
		Timestamp: time.UnixMicro(h.Record.Timestamp).UTC(),
		Key:       shownBytes(h.Record.Key), Value: shownBytes(h.Record.Value),
		Headers: []headerReport{}, History: []resolvedReport{},
	}
	if h.OfRow {
		out.Row = &h.Row
	}
	for _, header := range h.Record.Headers {
		out.Headers = append(out.Headers, headerReport{header.Key, shownBytes(header.Value)})
	}
	for _, r := range h.Resolutions {
		resolved := resolvedReport{Resolution: r.Outcome, Epoch: r.Epoch, Request: r.Request, PluginDigest: r.PluginDigest}
		if r.Refusal != nil {
			resolved.Reason, resolved.Message = r.Refusal.Code, r.Refusal.Message
		} else {
			out.State = string(r.Outcome)
		}
		out.History = append(out.History, resolved)
	}
	return out
}

func shownBytes(b []byte) *bytesReport {
	if b == nil {
		return nil
	}
	out := &bytesReport{Base64: b}
	if utf8.Valid(b) {
		text := string(b)
		out.Text = &text
	}
	return out
}

func printLetter(out io.Writer, h *lakehouse.LetterHistory) error {
	r := shownLetter(h)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	of := "the whole record"
	if r.Row != nil {
		of = fmt.Sprintf("row %d of the record", *r.Row)
	}
	for _, line := range [][2]string{
		{"letter", r.ID}, {"state", r.State}, {"model", r.Model}, {"of", of},
		{"reason", r.Reason}, {"column", dash(r.Column)}, {"message", r.Message}, {"plugin digest", dash(r.PluginDigest)},
		{"record", fmt.Sprintf("%s/%d at offset %d", r.Topic, r.Partition, r.Offset)},
		{"kafka cluster", r.ClusterID}, {"kafka topic id", r.TopicID},
		{"kafka timestamp", r.Timestamp.Format(time.RFC3339Nano)}, {"ingested at", r.IngestedAt.Format(time.RFC3339Nano)},
		{"epoch", fmt.Sprint(r.Epoch)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
	}
	for _, past := range r.History {
		text := fmt.Sprintf("%s in epoch %d by request %s", past.Resolution, past.Epoch, past.Request)
		if past.Message != "" {
			text += fmt.Sprintf(": %s: %s", past.Reason, past.Message)
		}
		fmt.Fprintf(w, "history\t%s\n", text)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, header := range h.Record.Headers {
		fmt.Fprintf(out, "\nheader %s:\n%s", header.Key, printable(header.Value))
	}
	_, err := fmt.Fprintf(out, "\nkey:\n%s\nvalue:\n%s", printable(h.Record.Key), printable(h.Record.Value))
	return err
}

// printable renders bytes as text, or as a hex dump if a terminal could not
// show them or would obey them.
func printable(b []byte) string {
	switch {
	case b == nil:
		return "null\n"
	case len(b) == 0:
		return "empty\n"
	case !utf8.Valid(b):
		return hex.Dump(b)
	}
	for _, r := range string(b) {
		if unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' {
			return hex.Dump(b)
		}
	}
	return string(b) + "\n"
}

// shorten cuts text for a table on a terminal.
func shorten(text string, length int) string {
	if r := []rune(text); len(r) > length {
		return string(r[:length-1]) + "…"
	}
	return text
}
