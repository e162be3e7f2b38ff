import { GatewayError } from '../errors/gateway-error.ts';

export interface JsonLimits {
  readonly maxBytes: number;
  readonly maxDepth: number;
  /** Objects' keys and arrays' elements together. */
  readonly maxNodes: number;
}

/** Wide enough for a large prompt with images, narrow enough that no input stops the process (S16). */
export const defaultJsonLimits: JsonLimits = { maxBytes: 32 * 1024 * 1024, maxDepth: 64, maxNodes: 200_000 };

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const openBracket = 0x5b;
const closeBrace = 0x7d;
const closeBracket = 0x5d;

/**
 * Parses untrusted JSON. Size, depth and node count are checked on the bytes BEFORE `JSON.parse`, which itself
 * accepts a depth of a million and so hands later code a bomb. Keys that reach prototypes are refused (S17).
 *
 * @throws GatewayError invalid_request (`json_syntax`, `json_too_deep`, `json_too_many_nodes`, `json_forbidden_key`)
 *   or too_large (`body_too_large`).
 */
export function parseJson(bytes: Uint8Array, limits: JsonLimits = defaultJsonLimits): unknown {
  if (bytes.byteLength > limits.maxBytes) {
    throw new GatewayError(
      'too_large',
      `The body has ${bytes.byteLength} bytes; the limit is ${limits.maxBytes}.`,
      {
        reason: 'body_too_large',
      },
    );
  }
  scanShape(bytes, limits);
  const text = decodeUtf8(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new GatewayError(
      'invalid_request',
      `The body is not valid JSON: ${(error as SyntaxError).message}`,
      {
        reason: 'json_syntax',
        cause: error,
      },
    );
  }
  // Escapes can spell a forbidden key (`"__pro\u0074o__"`), so the text test only decides whether to walk.
  if (text.includes('__proto__') || text.includes('constructor') || text.includes('\\u'))
    refuseForbiddenKeys(value, '');
  return value;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (error) {
    throw new GatewayError('invalid_request', 'The body is not valid UTF-8.', {
      reason: 'json_syntax',
      cause: error,
    });
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

function scanShape(bytes: Uint8Array, limits: JsonLimits): void {
  let depth = 0;
  let nodes = 0;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (byte === quote) {
      index = endOfString(bytes, index);
    } else if (byte === openBrace || byte === openBracket) {
      if (++depth > limits.maxDepth) {
        throw new GatewayError(
          'invalid_request',
          `The JSON is nested deeper than ${limits.maxDepth} levels.`,
          {
            reason: 'json_too_deep',
          },
        );
      }
    } else if (byte === closeBrace || byte === closeBracket) {
      depth--;
    } else if (byte === comma || byte === colon) {
      if (++nodes > limits.maxNodes) {
        throw new GatewayError('invalid_request', `The JSON has more than ${limits.maxNodes} values.`, {
          reason: 'json_too_many_nodes',
        });
      }
    }
  }
}

/** Index of the closing quote. `indexOf` runs natively, so long strings cost almost nothing. */
function endOfString(bytes: Uint8Array, start: number): number {
  let end = bytes.indexOf(quote, start + 1);
  while (end !== -1) {
    let backslashes = 0;
    while (bytes[end - 1 - backslashes] === backslash) backslashes++;
    if (backslashes % 2 === 0) return end;
    end = bytes.indexOf(quote, end + 1);
  }
  return bytes.length;
}

function refuseForbiddenKeys(value: unknown, path: string): void {
  if (Array.isArray(value)) {
    value.forEach((item, index) => {
      refuseForbiddenKeys(item, `${path}[${index}]`);
    });
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) {
    const child: unknown = Object.getOwnPropertyDescriptor(value, key)?.value;
    if (key === '__proto__' || (key === 'constructor' && hasPrototypeKey(child))) {
      const at = path === '' ? key : `${path}.${key}`;
      throw new GatewayError('invalid_request', `The key '${at}' is not allowed.`, {
        reason: 'json_forbidden_key',
        param: at,
      });
    }
    refuseForbiddenKeys(child, path === '' ? key : `${path}.${key}`);
  }
}

/** `constructor` alone is a fair name (a schema property, a label); `constructor.prototype` is the attack. */
function hasPrototypeKey(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype');
}
