import { inspect } from 'node:util';

const redacted = '[secret]';

/**
 * A value that cannot be printed, serialised or logged by accident (S20): every implicit way to a string
 * yields `[secret]`. Only `reveal()` gives it out, so that each use can be found by its name.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  get [Symbol.toStringTag](): string {
    return 'Secret';
  }

  [Symbol.toPrimitive](): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}
