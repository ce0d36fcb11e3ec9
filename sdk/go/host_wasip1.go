//go:build wasip1

package calve

import "unsafe"

//go:wasmimport calve log
func calveLog(level uint32, text unsafe.Pointer, length uint32)

//go:wasmimport calve log_level
func calveLogLevel() uint32

//go:wasmimport calve counter_add
func calveCounterAdd(name unsafe.Pointer, length uint32, delta int64)

//go:wasmimport calve histogram
func calveHistogram(name unsafe.Pointer, length uint32, value float64)

func hostLog(level Level, message string) {
	calveLog(uint32(level), unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}

func hostLogLevel() Level { return Level(calveLogLevel()) }

func hostCount(name string, delta int64) {
	calveCounterAdd(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), delta)
}

func hostObserve(name string, value float64) {
	calveHistogram(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), value)
}
