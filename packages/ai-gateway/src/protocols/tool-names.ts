import { hash } from 'node:crypto';
import type { NeutralRequest, Tool } from '../domain/neutral-request.ts';

const hashLength = 8;

function shorten(text: string, maxLength: number): string {
  const clean = text.replace(/[^a-zA-Z0-9_-]/g, '_');
  if (clean === text && text.length <= maxLength && text !== '') return text;
  const tail = hash('sha256', text, 'hex').slice(0, hashLength);
  return `${clean.slice(0, maxLength - hashLength - 1)}_${tail}`;
}

/**
 * Tool names as an upstream takes them: `[a-zA-Z0-9_-]`, not longer than `maxLength`. Names that fit stay; others get a short form
 * that `original` turns back.
 */
export class ToolNames {
  readonly #maxLength: number;
  readonly #tools: readonly Tool[];
  #originals: Map<string, string> | undefined;

  constructor(request: NeutralRequest, maxLength: number) {
    this.#maxLength = maxLength;
    this.#tools = request.tools;
  }

  wire(name: string): string {
    return shorten(name, this.#maxLength);
  }

  original(wire: string): string {
    this.#originals ??= new Map(this.#tools.map(({ name }) => [this.wire(name), name]));
    return this.#originals.get(wire) ?? wire;
  }
}

/** A call id as an upstream takes it. Calls and their results change alike, so they still belong together. */
export function wireCallId(id: string, maxLength: number): string {
  return shorten(id, maxLength);
}
