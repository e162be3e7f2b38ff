import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** One thing that is wrong in a definition. */
export interface Mistake {
  /** JSON pointer into the document. */
  readonly pointer: string;
  /** Line in the YAML source, from 1; absent for JSON. */
  readonly line?: number;
  readonly message: string;
}

/** Collects; nothing is thrown before all is known. */
export class Mistakes {
  readonly #found: Mistake[] = [];
  readonly #lineOf: (pointer: string) => number | undefined;

  constructor(lineOf: (pointer: string) => number | undefined) {
    this.#lineOf = lineOf;
  }

  add(pointer: string, message: string): void {
    if (this.#found.length >= maxMistakes) return;
    if (this.#found.some(each => each.pointer === pointer && each.message === message)) return;
    const line = this.#lineOf(pointer);
    this.#found.push(line === undefined ? { pointer, message } : { pointer, line, message });
  }

  get isEmpty(): boolean {
    return this.#found.length === 0;
  }

  /** @throws GatewayError invalid_request (`definition_invalid`) with every mistake in `errors`. */
  throwIfAny(): void {
    if (this.isEmpty) return;
    const count = this.#found.length;
    const [first] = this.#found;
    throw new GatewayError(
      'invalid_request',
      `The definition has ${count === 1 ? 'a mistake' : `${count} mistakes`}. ${first?.pointer || 'The document'}: ${first?.message}`,
      { reason: 'definition_invalid', details: { errors: this.#found } },
    );
  }
}

const maxMistakes = 100;
