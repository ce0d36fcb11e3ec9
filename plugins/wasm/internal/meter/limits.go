package meter

// Bounds on the structure of a module. wazero allocates by these numbers
// without bounds of its own: 36 bytes of module can ask for 34 GB of locals.
const (
	maxModuleBytes = 32 << 20
	maxTypes       = 10_000
	maxFunctions   = 100_000
	maxImports     = 1_000
	maxExports     = 10_000
	maxGlobals     = 10_000
	maxSegments    = 100_000
	maxValues      = 256       // parameters or results of one type
	maxBodyBytes   = 1 << 20   // of one function
	maxLocals      = 50_000    // of one function, as in browsers
	maxAllLocals   = 5_000_000 // of all functions
	maxNesting     = 50_000    // blocks in blocks; Go nests one for each call of a function
	maxLoopNesting = 128
	// maxSpread bounds locals × branches of a function: the compiler's SSA
	// construction may record each local in each block.
	maxSpread = 4 << 20
	// maxPassed bounds the values that the blocks and calls of a function pass,
	// for the same reason.
	maxPassed = 2 << 20
)

// maxTable is the largest table, in entries. wazero does not count tables
// towards the memory limit.
const maxTable = 100_000
