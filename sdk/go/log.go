package calve

// Level is how much a log line matters.
type Level uint32

// Levels of Log.
const (
	Debug Level = levelDebug
	Info  Level = levelInfo
	Warn  Level = levelWarn
	Error Level = levelError
)

// Log writes a line to the log of the pipeline. The host bounds what a batch
// may log.
func Log(level Level, message string) {
	if LogEnabled(level) {
		hostLog(level, message)
	}
}

// LogEnabled tells whether lines of that level are kept, so that making one can
// be spared.
func LogEnabled(level Level) bool { return level >= hostLogLevel() }

// Count adds delta to a counter of the plugin. What a batch counts that fails
// is not kept.
func Count(name string, delta int64) { hostCount(name, delta) }

// Observe adds a value to a histogram of the plugin.
func Observe(name string, value float64) { hostObserve(name, value) }
