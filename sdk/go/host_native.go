//go:build !wasip1

package calve

// Outside WebAssembly, in a plugin's own tests, there is no host to tell.

func hostLog(Level, string) {}

func hostLogLevel() Level { return Warn }

func hostCount(string, int64) {}

func hostObserve(string, float64) {}
