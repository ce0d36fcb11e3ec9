package abi

// Bounds on what a guest may say about itself. They are part of the contract:
// a module that stays within them is accepted by every host.
const (
	MaxDescribeBytes = 1 << 20
	MaxColumns       = 2000 // fields of one stream, nested ones included
	MaxDepth         = 8    // levels of nesting below a column
	MaxNameBytes     = 256  // of a column, a metric or the plugin
	MaxStreams       = 64
	MaxMessageBytes  = 4096 // of a result's or a row error's message; longer ones are cut
	MaxCodeBytes     = 64   // of a row error's code
)

// Defaults of the limits that an operator may set.
const (
	// DefaultMemoryBytes bounds linear memory.
	DefaultMemoryBytes = 256 << 20
	// DefaultBudget bounds the work of one call, in checks: one at each loop
	// iteration and function entry, more where 128 bytes of code or 64 bytes
	// of a bulk operation lie between two. A tight loop does about 10⁹ a second.
	DefaultBudget = 1 << 31
	// DefaultOutputBytes bounds what one call may return, every column counted
	// even where several share a buffer.
	DefaultOutputBytes = 256 << 20
	// DefaultOutputRows bounds the rows of one output.
	DefaultOutputRows = 1 << 20
	// DefaultLogBytes bounds what one call may log.
	DefaultLogBytes = 64 << 10
	// DefaultMetrics bounds the names of counters and histograms of one call.
	DefaultMetrics = 64
)
