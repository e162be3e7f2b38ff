import type { Append } from '../../domain/append.ts';

interface Waiting {
  readonly append: Append;
  resolve(isWritten: boolean): void;
  reject(error: unknown): void;
}

const maxBatch = { appends: 200, bytes: 4 * 1024 * 1024 };

/** While one batch is on its way, appends collect, and go together in the next. A run is at most once in a batch. */
export class GroupCommit {
  readonly #write: (batch: readonly Append[]) => Promise<ReadonlySet<string>>;
  #waiting: Waiting[] = [];
  #isWriting = false;

  constructor(write: (batch: readonly Append[]) => Promise<ReadonlySet<string>>) {
    this.#write = write;
  }

  append(append: Append): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ append, resolve, reject });
      if (!this.#isWriting) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#isWriting = true;
    await Promise.resolve(); // what is asked for in the same turn goes together
    while (this.#waiting.length > 0) await this.#settle(this.#takeBatch());
    this.#isWriting = false;
  }

  #takeBatch(): Waiting[] {
    const batch: Waiting[] = [];
    const rest: Waiting[] = [];
    const runs = new Set<string>();
    let bytes = 0;
    for (const waiting of this.#waiting) {
      const { claim, records } = waiting.append;
      const isFull = batch.length >= maxBatch.appends || bytes >= maxBatch.bytes || runs.has(claim.runId);
      (isFull ? rest : batch).push(waiting);
      runs.add(claim.runId);
      if (!isFull) for (const { payload } of records) bytes += payload.length;
    }
    this.#waiting = rest;
    return batch;
  }

  async #settle(batch: readonly Waiting[]): Promise<void> {
    try {
      const written = await this.#write(batch.map(({ append }) => append));
      for (const { append, resolve } of batch) resolve(written.has(append.claim.runId));
    } catch (error) {
      if (batch.length === 1) batch[0]?.reject(error);
      // One that cannot be written must not fail its neighbours: each is tried by itself.
      else for (const each of batch) await this.#settle([each]);
    }
  }
}
