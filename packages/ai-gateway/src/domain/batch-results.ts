import { costOf, type PriceList } from '@strata/shared/money/price.ts';
import { type Usage, usageBuckets } from '@strata/shared/money/usage.ts';

/** What one request of a batch used. */
export interface BatchResult {
  /** The provider's name of the model that answered; undefined where the result does not say. */
  readonly model: string | undefined;
  readonly usage: Usage;
}

/** What the requests for one model used together. */
export interface ModelTotal {
  readonly usage: Usage;
  /** Undefined when the price of any of it is not known: never 0 for that ($-2). */
  readonly costNanoUsd: bigint | undefined;
}

/** Adds results up, each at the price of its own length. `pricesOf` knows the models of the batch. */
export class BatchTotals {
  readonly #pricesOf: (model: string) => PriceList | undefined;
  readonly #totals = new Map<string, ModelTotal>();

  constructor(pricesOf: (model: string) => PriceList | undefined) {
    this.#pricesOf = pricesOf;
  }

  add(model: string, usage: Usage): void {
    const cost = costOf(usage, this.#pricesOf(model), 'batch');
    const before = this.#totals.get(model);
    if (before === undefined) {
      this.#totals.set(model, { usage, costNanoUsd: cost });
      return;
    }
    const isKnown = before.costNanoUsd !== undefined && cost !== undefined;
    this.#totals.set(model, {
      usage: sumOf(before.usage, usage),
      costNanoUsd: isKnown ? (before.costNanoUsd ?? 0n) + (cost ?? 0n) : undefined,
    });
  }

  get all(): ReadonlyMap<string, ModelTotal> {
    return this.#totals;
  }
}

function sumOf(left: Usage, right: Usage): Usage {
  const sums = usageBuckets.flatMap(bucket => {
    const sum = (left[bucket] ?? 0) + (right[bucket] ?? 0);
    return left[bucket] === undefined && right[bucket] === undefined ? [] : [[bucket, sum] as const];
  });
  return { ...left, ...Object.fromEntries(sums) };
}

const maxLineBytes = 64 * 1024 * 1024;

/** Cuts a body into its lines, however its bytes come. @throws RangeError when a line is too long to be one. */
export class LineReader {
  #rest: Buffer[] = [];
  #restBytes = 0;

  push(chunk: Buffer): Buffer[] {
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      lines.push(this.#take(chunk.subarray(start, end)));
      start = end + 1;
    }
    if (start < chunk.length) {
      this.#rest.push(chunk.subarray(start));
      this.#restBytes += chunk.length - start;
      if (this.#restBytes > maxLineBytes) throw new RangeError('A line is too long');
    }
    return lines;
  }

  /** What no line end followed. */
  end(): Buffer[] {
    return this.#restBytes === 0 ? [] : [this.#take(Buffer.alloc(0))];
  }

  #take(last: Buffer): Buffer {
    const line = this.#rest.length === 0 ? last : Buffer.concat([...this.#rest, last]);
    this.#rest = [];
    this.#restBytes = 0;
    return line;
  }
}
