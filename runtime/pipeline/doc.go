// Package pipeline is the loop that carries records from a source to tables,
// and the epochs that it cuts them into. Pipeline.step is the walk of a
// record on one page; epoch.go is what an epoch collects, decide.go how it
// ends.
package pipeline
