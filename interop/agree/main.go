// Command agree compares what several engines report about the same tables and
// fails when they differ.
//
//	agree [-total N -of TABLE,TABLE] REPORT...
//
// With -total, the rows of the named tables together must number N.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	total := flag.Int64("total", 0, "rows that the tables of -of have together")
	of := flag.String("of", "", "tables that -total counts, separated by commas")
	flag.Parse()

	if err := run(os.Stdout, flag.Args(), *total, *of); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out io.Writer, paths []string, total int64, of string) error {
	reports, err := readReports(paths)
	if err != nil {
		return err
	}
	if err := compare(reports); err != nil {
		return err
	}
	if of != "" {
		if err := checkTotal(reports[0], strings.Split(of, ","), total); err != nil {
			return err
		}
	}
	return write(out, reports)
}
