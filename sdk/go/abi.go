package calve

// ABI version 1, copied from the package sdk/abi of Calve, which documents it;
// a test there compares the two.
const (
	version = 1

	levelDebug = 0
	levelInfo  = 1
	levelWarn  = 2
	levelError = 3

	statusOK      = 0
	statusFailed  = 1
	statusRefused = 3

	kindTransform = "transform"
	streamMain    = 0
	noWatermark   = -1 << 63

	bufferAlign = 64

	arraySize        = 64
	arrayLength      = 0
	arrayNullCount   = 8
	arrayOffset      = 16
	arrayNBuffers    = 24
	arrayNChildren   = 32
	arrayBuffers     = 40
	arrayChildren    = 44
	arrayDictionary  = 48
	arrayRelease     = 52
	arrayPrivateData = 56

	schemaSize        = 48
	schemaFormat      = 0
	schemaName        = 4
	schemaMetadata    = 8
	schemaFlags       = 16
	schemaNChildren   = 24
	schemaChildren    = 32
	schemaDictionary  = 36
	schemaRelease     = 40
	schemaPrivateData = 44

	flagNullable = 2

	batchSize       = 64
	batchStructSize = 0
	batchArray      = 4
	batchState      = 8
	batchFlags      = 12
	batchID         = 16
	batchWatermark  = 24
	batchReserved   = 32
	batchMeta       = 40

	resultSize       = 32
	resultStatus     = 0
	resultNOutputs   = 4
	resultOutputs    = 8
	resultRowErrors  = 12
	resultMessagePtr = 16
	resultMessageLen = 20

	outputSize      = 24
	outputStream    = 0
	outputSchema    = 4
	outputArray     = 8
	outputSelection = 12
	outputRows      = 16
	outputFlags     = 20

	metaTopic     = 0
	metaPartition = 1
	metaOffset    = 2
	metaTimestamp = 3
	metaColumns   = 4

	rowErrorRow     = 0
	rowErrorCode    = 1
	rowErrorColumn  = 2
	rowErrorMessage = 3
	rowErrorColumns = 4
)
