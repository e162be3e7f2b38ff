interface NumberRange {
  readonly from: number;
  to: number;
}

/** A set of whole numbers, kept as ranges: numbers come in rising order. */
export class NumberRanges {
  readonly #ranges: NumberRange[] = [];

  /** How many ranges there are. */
  get size(): number {
    return this.#ranges.length;
  }

  get last(): Readonly<NumberRange> | undefined {
    return this.#ranges.at(-1);
  }

  /** Adds `from` to `to`, both included. What is not above all that was added before must lie inside it or touch its end. */
  add(from: number, to: number = from): void {
    const last = this.#ranges.at(-1);
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
    else this.#ranges.push({ from, to });
  }

  has(value: number): boolean {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const range = this.#ranges[middle];
      if (range !== undefined && range.to < value) low = middle + 1;
      else high = middle;
    }
    const found = this.#ranges[low];
    return found !== undefined && found.from <= value;
  }

  *values(): Generator<number> {
    for (const { from, to } of this.#ranges) for (let value = from; value <= to; value++) yield value;
  }
}
