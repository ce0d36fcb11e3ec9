// Package daemon composes the parts of Calve into what the commands run: it
// opens the connections that a project names, builds its models, and runs its
// pipeline. It decides nothing about records.
package daemon
