import { GatewayError } from '../errors/gateway-error.ts';

const maxNodes = 50_000;
const maxDepth = 60;
/** Where a reference is not followed any more, because nobody reads so much. */
const enoughNodes = 5000;
const enoughDepth = 20;

/**
 * Puts what local references (`#/…`, RFC 6901) name in their place, so that a part can be read on its own. A reference to itself becomes
 * an empty schema, which allows everything, and so does one that leads deeper than anybody reads; a reference to another document is refused, because nothing is fetched on its word.
 *
 * @throws GatewayError invalid_request (`openapi_invalid`).
 */
export function inlineReferences(part: unknown, document: unknown): unknown {
  let nodes = 0;

  function visit(node: unknown, inside: readonly string[], depth: number): unknown {
    if (++nodes > maxNodes || depth > maxDepth) throw invalid('is nested or refers too deep');
    if (Array.isArray(node)) return node.map(each => visit(each, inside, depth + 1));
    if (typeof node !== 'object' || node === null) return node;
    if ('$ref' in node && typeof node.$ref === 'string') {
      const { $ref } = node;
      if (inside.includes($ref) || nodes > enoughNodes || depth > enoughDepth) return {};
      return visit(lookUp($ref, document), [...inside, $ref], depth + 1);
    }
    return Object.fromEntries(
      Object.entries(node).map(([key, each]) => [key, visit(each, inside, depth + 1)]),
    );
  }

  return visit(part, [], 0);
}

function lookUp(reference: string, document: unknown): unknown {
  if (!reference.startsWith('#/')) throw invalid(`refers to '${reference}', which is another document`);
  let current = document;
  for (const part of reference.slice(2).split('/')) {
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key))
      throw invalid(`refers to '${reference}', which is not there`);
    current = (current as Record<string, unknown>)[key]; // it has that key
  }
  return current;
}

export function invalid(what: string, cause?: unknown): GatewayError {
  return new GatewayError('invalid_request', `The OpenAPI document ${what}.`, {
    reason: 'openapi_invalid',
    cause,
  });
}
