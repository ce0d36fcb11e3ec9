package kafka

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Lines reads one record a line, for Produce. A line's bytes are the value as
// they are, but for the line feed that ends it; the last line may go without.
// If keySeparator is not empty, what stands before its first occurrence is the
// key, and a line without it is an error. There is no longest line.
func Lines(r io.Reader, keySeparator string) iter.Seq2[ProduceRecord, error] {
	return func(yield func(ProduceRecord, error) bool) {
		reader := bufio.NewReaderSize(r, 1<<16)
		for number := 1; ; number++ {
			line, err := reader.ReadBytes('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				yield(ProduceRecord{}, fmt.Errorf("read line %d: %w", number, err))
				return
			}
			if len(line) > 0 {
				made, bad := parseLine(bytes.TrimSuffix(line, []byte{'\n'}), keySeparator, number)
				if !yield(made, bad) || bad != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

func parseLine(line []byte, keySeparator string, number int) (ProduceRecord, error) {
	if keySeparator == "" {
		return ProduceRecord{Value: line}, nil
	}
	key, value, found := bytes.Cut(line, []byte(keySeparator))
	if !found {
		return ProduceRecord{}, fmt.Errorf("line %d: found no %q, expected it between key and value", number, keySeparator)
	}
	return ProduceRecord{Key: key, Value: value}, nil
}
