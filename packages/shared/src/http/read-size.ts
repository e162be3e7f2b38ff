import type { OnReadOpts } from 'node:net';

const smallBytes = 8 * 1024;
const largeBytes = 64 * 1024;

/** Every connection reads into these bytes and copies out what came before another one can read. */
const large = Buffer.allocUnsafeSlow(largeBytes);
const small = large.subarray(0, smallBytes);

/** How much is read of a connection at once: what waits for a slow reader is at most two such reads (F44). */
export class ReadSize {
  /** For answers that are taken as fast as they come. */
  isLarge = false;
}

/**
 * Options of a socket. Node reads 64 KiB of each connection at once, and goes on until it holds as much, whoever waits for it
 * to be read; here a read is small unless `size` says otherwise, and takes memory for just what came.
 *
 * @param push takes what was read; false when no more should be read.
 */
export function readInSizes(
  push: (bytes: Buffer) => boolean,
  size: ReadSize = new ReadSize(),
): { onread: OnReadOpts; highWaterMark: number } {
  return {
    highWaterMark: smallBytes,
    onread: {
      buffer: () => (size.isLarge ? large : small),
      callback(count, buffer) {
        const bytes = Buffer.allocUnsafeSlow(count); // of its own: a view into Node's pool would hold all of that
        bytes.set(buffer.subarray(0, count));
        return push(bytes);
      },
    },
  };
}
