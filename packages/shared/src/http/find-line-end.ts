const lf = 0x0a;
const cr = 0x0d;

/** Lines shorter than this are searched here; a call into the native search costs more than it saves. */
const shortLineBytes = 24;

/**
 * Index of the first LF or CR in `bytes` from `from`, or `stop` when there is none before it. `hasCr: false` says that the
 * caller has looked, and then one native search does it. With CR about, two native searches a line would each run on to
 * a far LF or CR, quadratic in the size of the chunk; a plain loop never looks at a byte twice.
 *
 * Four plain arguments, because it runs for every line and an options object for each is what fills the young heap.
 */
export function findLineEnd(bytes: Buffer, from: number, stop: number, hasCr: boolean): number {
  const loopEnd = hasCr ? stop : Math.min(stop, from + shortLineBytes);
  for (let index = from; index < loopEnd; index++) {
    const byte = bytes[index];
    if (byte === lf || byte === cr) return index;
  }
  if (loopEnd === stop) return stop;
  const found = (stop === bytes.length ? bytes : bytes.subarray(0, stop)).indexOf(lf, loopEnd);
  return found === -1 ? stop : found;
}
