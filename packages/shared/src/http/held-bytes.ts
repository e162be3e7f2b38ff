const smallestBlockBytes = 256;
const largestBlockBytes = 64 * 1024;

/**
 * Bytes kept until the rest of their message comes. They are copied: a view would keep the whole chunk of a slow sender in
 * memory for each of its few bytes. And they are kept in blocks: a buffer that doubles leaves as much garbage as it holds.
 */
export class HeldBytes {
  readonly #blocks: Buffer[] = [];
  #lastBlockBytes = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(more: Buffer): void {
    for (let added = 0; added < more.length; ) {
      let block = this.#blocks.at(-1);
      if (!block || this.#lastBlockBytes === block.length) {
        const wanted = Math.max(smallestBlockBytes, this.#bytes, 2 * (more.length - added));
        block = Buffer.allocUnsafe(Math.min(wanted, largestBlockBytes));
        this.#blocks.push(block);
        this.#lastBlockBytes = 0;
      }
      const copied = more.copy(block, this.#lastBlockBytes, added);
      this.#lastBlockBytes += copied;
      added += copied;
      this.#bytes += copied;
    }
  }

  /** Everything added since the last time, in one piece. */
  take(): Buffer {
    const last = this.#blocks.pop();
    if (!last) return Buffer.alloc(0);
    const tail = last.subarray(0, this.#lastBlockBytes);
    const all = this.#blocks.length === 0 ? tail : Buffer.concat([...this.#blocks, tail], this.#bytes);
    this.clear();
    return all;
  }

  clear(): void {
    this.#blocks.length = 0;
    this.#lastBlockBytes = 0;
    this.#bytes = 0;
  }
}
