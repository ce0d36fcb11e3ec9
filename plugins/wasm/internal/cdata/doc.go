// Package cdata moves Arrow data between the host and a guest's linear memory,
// in the layout of the package sdk/abi.
//
// Towards the guest, Encode copies a record batch into the guest's input arena.
// From the guest, nothing is believed: Reader checks every pointer, length,
// offset, null count, text and dictionary index against the memory's bounds and
// a byte budget before it copies rows out, so that arrow-go only ever sees
// arrays that were built here. (arrow-go's own ValidateFull panics on hostile
// offsets.)
package cdata
