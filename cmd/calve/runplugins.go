package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/pipeline"
)

// pluginSwap is what became of another module for a plugin reference.
type pluginSwap struct {
	Ref     string `json:"ref"`
	From    string `json:"from"` // digests
	To      string `json:"to"`
	Epoch   int64  `json:"epoch"`   // the first that To took, or was to take
	Outcome string `json:"outcome"` // probation, kept or refused
	Reason  string `json:"reason,omitempty"`
}

func pluginSwaps(swaps []pipeline.Swap) []pluginSwap {
	all := make([]pluginSwap, len(swaps))
	for i, s := range swaps {
		all[i] = pluginSwap{Ref: s.Ref, From: s.From, To: s.To, Epoch: s.Epoch, Outcome: string(s.Outcome), Reason: s.Reason}
	}
	return all
}

func printSwaps(out io.Writer, swaps []pipeline.Swap) error {
	for _, s := range swaps {
		text := fmt.Sprintf("plugin %s: module %s, %s, from epoch %d", s.Ref, shortDigest(s.To), s.Outcome, s.Epoch)
		if s.Outcome == pipeline.SwapRefused {
			text = fmt.Sprintf("plugin %s: module %s refused in epoch %d, %s again: %s", s.Ref, shortDigest(s.To), s.Epoch, shortDigest(s.From), s.Reason)
		}
		if _, err := fmt.Fprintln(out, text); err != nil {
			return err
		}
	}
	return nil
}

func shortDigest(digest string) string { return digest[:min(12, len(digest))] }

// shadowReport is how what a shadow makes differs from what the model's plugin
// does.
type shadowReport struct {
	Model           string           `json:"model"`
	Ref             string           `json:"ref"`
	Digest          string           `json:"digest"`
	Equal           int64            `json:"equal"` // rows
	Different       int64            `json:"different"`
	OnlyCurrent     int64            `json:"only_current"`
	OnlyCandidate   int64            `json:"only_candidate"`
	CurrentErrors   int64            `json:"current_errors"`
	CandidateErrors int64            `json:"candidate_errors"`
	Uncompared      int64            `json:"uncompared"`
	Failure         string           `json:"failure,omitempty"`
	Columns         map[string]int64 `json:"columns"` // rows that differ, by column
	Examples        []shadowExample  `json:"examples"`
}

type shadowExample struct {
	Topic     string `json:"kafka_topic"`
	Partition int32  `json:"kafka_partition"`
	Offset    int64  `json:"kafka_offset"`
	Row       int32  `json:"kafka_row"`
	Column    string `json:"column,omitempty"` // none if one of the two has no such row
	Current   string `json:"current"`
	Candidate string `json:"candidate"`
}

func shadowReports(shadows []pipeline.Shadowed) []shadowReport {
	all := make([]shadowReport, len(shadows))
	for i, s := range shadows {
		all[i] = shadowReport{
			Model: s.Model, Ref: s.Ref, Digest: s.Digest, Equal: s.Equal, Different: s.Different,
			OnlyCurrent: s.OnlyCurrent, OnlyCandidate: s.OnlyCandidate, CurrentErrors: s.CurrentErrors, CandidateErrors: s.CandidateErrors,
			Uncompared: s.Uncompared, Failure: s.Failure, Columns: s.Columns, Examples: make([]shadowExample, len(s.Examples)),
		}
		for j, e := range s.Examples {
			all[i].Examples[j] = shadowExample{e.At.Topic, e.At.Partition, e.Offset, e.Row, e.Column, e.Current, e.Candidate}
		}
	}
	return all
}

func printShadows(out io.Writer, shadows []pipeline.Shadowed) error {
	var text strings.Builder
	for _, s := range shadows {
		fmt.Fprintf(&text, "shadow of model %s, %s (module %s): %d rows alike, %d different, %d of the model's plugin alone, %d of the shadow alone; row errors %d and %d\n",
			s.Model, s.Ref, shortDigest(s.Digest), s.Equal, s.Different, s.OnlyCurrent, s.OnlyCandidate, s.CurrentErrors, s.CandidateErrors)
		if s.Uncompared > 0 {
			fmt.Fprintf(&text, "  %d rows not compared, the shadow failed on them: %s\n", s.Uncompared, s.Failure)
		}
		for _, column := range slices.Sorted(maps.Keys(s.Columns)) {
			fmt.Fprintf(&text, "  column %s differs in %d rows\n", column, s.Columns[column])
		}
		for _, e := range s.Examples {
			where := "row"
			if e.Column != "" {
				where = "column " + e.Column
			}
			fmt.Fprintf(&text, "  %s offset %d, row %d, %s: %s | %s\n", e.At, e.Offset, e.Row, where, e.Current, e.Candidate)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// parseShadows reads MODEL=name@channel, each model at most once.
func parseShadows(texts []string) ([]daemon.ShadowOption, error) {
	var all []daemon.ShadowOption
	for _, text := range texts {
		model, ref, ok := strings.Cut(text, "=")
		if !ok || model == "" || !strings.Contains(ref, "@") {
			return nil, fmt.Errorf("--shadow %s: expected MODEL=name@channel, MODEL=name@version or MODEL=name@sha256:<digest>", text)
		}
		if slices.ContainsFunc(all, func(o daemon.ShadowOption) bool { return o.Model == model }) {
			return nil, fmt.Errorf("--shadow %s: model %s has a shadow already; a model has one at a time", text, model)
		}
		all = append(all, daemon.ShadowOption{Model: model, Ref: ref})
	}
	return all, nil
}
