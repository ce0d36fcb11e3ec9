// The memory of a call. Objects and buffers alike come from the bump allocator of
// asc's stub runtime, which never frees. What a call allocated is taken off when
// the next one begins, so that a plugin's memory does not grow with its batches.
import { BUFFER_ALIGN, BUFFER_SLACK } from "./abi";

// The block that ends what is kept, at the top of the heap when it was taken.
let mark: usize = 0;

// The stub runtime puts the size of a block before it, and gives back the last
// block when it is freed.
const HEAD: usize = sizeof<usize>();

// Keeps what has been allocated so far for good.
export function keep(): void {
  mark = heap.alloc(0);
}

// Takes off everything behind what is kept: the mark becomes one block up to the
// top, and is freed.
function reset(): void {
  if (mark == 0) keep();
  const top = heap.alloc(0), end = top + load<usize>(top - HEAD);
  store<usize>(mark - HEAD, end - mark);
  heap.free(mark);
  heap.alloc(0); // the mark again
}

// Begins a call that has no input.
export function begin(): void {
  if (mark == 0) keep();
}

// The stub runtime's number.
const STUB = 0;

// Begins a call with room for its input; 0 when the host grants no memory.
export function beginWithInput(size: u32): usize {
  if (ASC_RUNTIME != STUB) ERROR("build plugins with --runtime stub");
  reset();
  const want = <u64>size + BUFFER_ALIGN + BUFFER_SLACK;
  const end = <u64>mark + want + 64; // with what the allocator adds
  const have = <u64>memory.size() << 16;
  if (want > <u64>i32.MAX_VALUE / 2) return 0;
  if (end > have && memory.grow(<i32>((end - have + 0xffff) >> 16)) < 0) return 0;
  return alignUp(heap.alloc(<usize>want));
}

function alignUp(at: usize): usize {
  return (at + (BUFFER_ALIGN - 1)) & ~<usize>(BUFFER_ALIGN - 1);
}

// Memory until the call ends, aligned to 16 bytes.
export function take(size: usize): usize {
  return heap.alloc(size);
}

// The same, zero.
export function takeZero(size: usize): usize {
  const at = heap.alloc(size);
  memory.fill(at, 0, size);
  return at;
}

export function bitmapBytes(rows: i32): usize {
  return (<usize>rows + 7) >> 3;
}

// Sets the first n bits; the last byte's others become 0.
export function setBits(bits: usize, n: i32): void {
  memory.fill(bits, 0xff, <usize>n >> 3);
  const rest = (1 << (n & 7)) - 1;
  if (rest != 0) store<u8>(bits + (n >> 3), <u8>rest);
}

// @ts-ignore: decorator
@inline
export function bitAt(bits: usize, i: i32): bool {
  return ((load<u8>(bits + (i >> 3)) >> (i & 7)) & 1) != 0;
}

// @ts-ignore: decorator
@inline
export function setBit(bits: usize, i: i32): void {
  const at = bits + (i >> 3), bit = 1 << (i & 7);
  store<u8>(at, <u8>(<i32>load<u8>(at) | bit));
}

// @ts-ignore: decorator
@inline
export function clearBit(bits: usize, i: i32): void {
  const at = bits + (i >> 3), bit = 1 << (i & 7);
  store<u8>(at, <u8>(<i32>load<u8>(at) & ~bit));
}
