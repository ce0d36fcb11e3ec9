package calve

import (
	"testing"
	"unsafe"
)

func TestStructsHaveTheLayoutOfTheABI(t *testing.T) {
	var a arrowArray
	var s arrowSchema
	var b batchStruct
	var r resultStruct
	var o outputStruct
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"array", unsafe.Sizeof(a), arraySize}, {"array.length", unsafe.Offsetof(a.length), arrayLength},
		{"array.null_count", unsafe.Offsetof(a.nullCount), arrayNullCount}, {"array.offset", unsafe.Offsetof(a.offset), arrayOffset},
		{"array.n_buffers", unsafe.Offsetof(a.nBuffers), arrayNBuffers}, {"array.n_children", unsafe.Offsetof(a.nChildren), arrayNChildren},
		{"array.buffers", unsafe.Offsetof(a.buffers), arrayBuffers}, {"array.children", unsafe.Offsetof(a.children), arrayChildren},
		{"array.dictionary", unsafe.Offsetof(a.dictionary), arrayDictionary}, {"array.release", unsafe.Offsetof(a.release), arrayRelease},
		{"array.private_data", unsafe.Offsetof(a.privateData), arrayPrivateData},
		{"schema", unsafe.Sizeof(s), schemaSize}, {"schema.format", unsafe.Offsetof(s.format), schemaFormat},
		{"schema.name", unsafe.Offsetof(s.name), schemaName}, {"schema.metadata", unsafe.Offsetof(s.metadata), schemaMetadata},
		{"schema.flags", unsafe.Offsetof(s.flags), schemaFlags}, {"schema.n_children", unsafe.Offsetof(s.nChildren), schemaNChildren},
		{"schema.children", unsafe.Offsetof(s.children), schemaChildren}, {"schema.dictionary", unsafe.Offsetof(s.dictionary), schemaDictionary},
		{"schema.release", unsafe.Offsetof(s.release), schemaRelease}, {"schema.private_data", unsafe.Offsetof(s.privateData), schemaPrivateData},
		{"batch", unsafe.Sizeof(b), batchSize}, {"batch.size", unsafe.Offsetof(b.size), batchStructSize},
		{"batch.array", unsafe.Offsetof(b.array), batchArray}, {"batch.state_array", unsafe.Offsetof(b.state), batchState},
		{"batch.flags", unsafe.Offsetof(b.flags), batchFlags}, {"batch.batch_id", unsafe.Offsetof(b.id), batchID},
		{"batch.watermark_us", unsafe.Offsetof(b.watermark), batchWatermark}, {"batch.reserved", unsafe.Offsetof(b.reserved), batchReserved},
		{"batch.meta", unsafe.Offsetof(b.meta), batchMeta},
		{"result", unsafe.Sizeof(r), resultSize}, {"result.status", unsafe.Offsetof(r.status), resultStatus},
		{"result.n_outputs", unsafe.Offsetof(r.nOutputs), resultNOutputs}, {"result.outputs", unsafe.Offsetof(r.outputs), resultOutputs},
		{"result.row_errors", unsafe.Offsetof(r.rowErrors), resultRowErrors}, {"result.msg_ptr", unsafe.Offsetof(r.messagePtr), resultMessagePtr},
		{"result.msg_len", unsafe.Offsetof(r.messageLen), resultMessageLen},
		{"output", unsafe.Sizeof(o), outputSize}, {"output.stream", unsafe.Offsetof(o.stream), outputStream},
		{"output.schema", unsafe.Offsetof(o.schema), outputSchema}, {"output.array", unsafe.Offsetof(o.array), outputArray},
		{"output.selection", unsafe.Offsetof(o.selection), outputSelection}, {"output.rows", unsafe.Offsetof(o.rows), outputRows},
		{"output.flags", unsafe.Offsetof(o.flags), outputFlags},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, c.got, c.want)
		}
	}
}
