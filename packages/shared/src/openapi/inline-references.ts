import { GatewayError } from '../errors/gateway-error.ts';

const maxNodes = 50_000;
const maxDepth = 60;
/** Of all parts of one document: beyond it nothing more is read. */
const maxNodesInAll = 2_000_000;
/** Where a reference is not followed any more, because nobody reads so much. */
const enoughNodes = 5000;
const enoughDepth = 20;

/** A part with what it refers to in place. */
export interface InlinedPart {
  readonly value: unknown;
  /** Whether it is so large or deep that something was left open. A reference to itself is none of that. */
  readonly isCut: boolean;
}

/** Local references (`#/…`, RFC 6901) of one document. Another document is refused, because nothing is fetched on its word. */
export class References {
  readonly #document: unknown;
  #nodesInAll = 0;

  constructor(document: unknown) {
    this.#document = document;
  }

  /** What is meant, with references inside as they are. @throws GatewayError invalid_request (`openapi_invalid`) */
  follow(node: unknown): unknown {
    let meant = node;
    for (let steps = 0; isReference(meant); steps++) {
      if (steps > enoughDepth) throw invalid(`refers to '${meant.$ref}', which leads nowhere`);
      meant = lookUp(meant.$ref, this.#document);
    }
    return meant;
  }

  /**
   * Puts what references name in their place, so that the part can be read on its own. A reference to itself becomes an empty schema,
   * which allows everything, and so does one that leads deeper than anybody reads.
   *
   * @throws GatewayError invalid_request (`openapi_invalid`).
   */
  inline(part: unknown): InlinedPart {
    let nodes = 0;
    let isCut = false;
    const visit = (node: unknown, inside: readonly string[], depth: number): unknown => {
      if (++nodes > maxNodes || depth > maxDepth) throw invalid('is nested or refers too deep');
      if (++this.#nodesInAll > maxNodesInAll) throw invalid('is too large to be read whole');
      if (Array.isArray(node)) return node.map(each => visit(each, inside, depth + 1));
      if (typeof node !== 'object' || node === null) return node;
      if (isReference(node)) {
        const { $ref } = node;
        if (inside.includes($ref)) return {};
        if (nodes <= enoughNodes && depth <= enoughDepth)
          return visit(lookUp($ref, this.#document), [...inside, $ref], depth + 1);
        isCut = true;
        return {};
      }
      return Object.fromEntries(
        Object.entries(node).map(([key, each]) => [key, visit(each, inside, depth + 1)]),
      );
    };
    const value = visit(part, [], 0);
    return { value, isCut };
  }
}

function isReference(node: unknown): node is { readonly $ref: string } {
  return typeof node === 'object' && node !== null && '$ref' in node && typeof node.$ref === 'string';
}

function lookUp(reference: string, document: unknown): unknown {
  if (!reference.startsWith('#/')) throw invalid(`refers to '${reference}', which is another document`);
  let current = document;
  for (const part of reference.slice(2).split('/')) {
    const key = decoded(part).replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key))
      throw invalid(`refers to '${reference}', which is not there`);
    current = (current as Record<string, unknown>)[key]; // it has that key
  }
  return current;
}

/** As it is written where it is no percent-encoding. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function invalid(what: string, cause?: unknown): GatewayError {
  return new GatewayError('invalid_request', `The OpenAPI document ${what}.`, {
    reason: 'openapi_invalid',
    cause,
  });
}
