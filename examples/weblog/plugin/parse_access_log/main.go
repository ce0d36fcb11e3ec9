// Plugin parse_access_log turns lines of the Apache combined log format into
// typed columns. A line that is not one becomes a dead letter with its reason.
package main

import calve "github.com/calvelake/calve/sdk/go"

func init() {
	calve.Register(calve.Plugin{
		Name: "parse_access_log", Version: "1.0.0", Summary: "Apache combined log lines to typed columns",
		Input: []calve.Column{calve.String("line")},
		Output: []calve.Column{
			calve.String("client").Required(), calve.Timestamptz("requested_at").Required(),
			calve.String("method").Required(), calve.String("path").Required(), calve.String("protocol"),
			calve.Int("status").Required(), calve.Long("bytes"), calve.String("referrer"), calve.String("user_agent"),
		},
		Transform: transform,
	})
}

func transform(in *calve.Batch, out *calve.Output) error {
	line := in.String("line")
	client, at := out.String("client"), out.Timestamp("requested_at")
	method, path, protocol := out.String("method"), out.String("path"), out.String("protocol")
	status, bytes := out.Int("status"), out.Long("bytes")
	referrer, agent := out.String("referrer"), out.String("user_agent")
	for i := range in.Len() {
		r, problem := parse(line.At(i))
		if problem.code != "" {
			out.RowError(i, problem.code, problem.column, problem.message)
			continue
		}
		client.Set(i, r.client)
		at.Set(i, r.at)
		method.Set(i, r.method)
		path.Set(i, r.path)
		protocol.Set(i, r.protocol)
		status.Set(i, r.status)
		if r.bytes >= 0 {
			bytes.Set(i, r.bytes)
		}
		if r.referrer != "-" {
			referrer.Set(i, r.referrer)
		}
		if r.agent != "-" {
			agent.Set(i, r.agent)
		}
	}
	return nil
}

func main() {}
