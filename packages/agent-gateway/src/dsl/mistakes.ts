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
  readonly #moved: { readonly pointer: string; readonly source: string }[] = [];
  readonly #lineOf: (pointer: string) => number | undefined;

  constructor(lineOf: (pointer: string) => number | undefined) {
    this.#lineOf = lineOf;
  }

  /** What is told of `pointer`, and of all below it, is told of `source`: that is where its author put it. */
  relocate(pointer: string, source: string): void {
    this.#moved.push({ pointer, source: this.sourceOf(source) });
  }

  /** Where the author of the document put what the compiled form has at this pointer. */
  sourceOf(pointer: string): string {
    const isAround = (outer: string) => pointer === outer || pointer.startsWith(`${outer}/`);
    const around = this.#moved.filter(each => isAround(each.pointer));
    const nearest = around.toSorted((left, right) => right.pointer.length - left.pointer.length)[0];
    return nearest === undefined ? pointer : nearest.source + pointer.slice(nearest.pointer.length);
  }

  add(place: string, message: string): void {
    if (this.#found.length >= maxMistakes) return;
    const pointer = this.sourceOf(place);
    if (this.#found.some(each => each.pointer === pointer && each.message === message)) return;
    const line = this.#lineOf(pointer);
    this.#found.push(line === undefined ? { pointer, message } : { pointer, line, message });
  }

  /** Where there are any. */
  get pointers(): readonly string[] {
    return this.#found.map(({ pointer }) => pointer);
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
