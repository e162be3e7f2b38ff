import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { defaultJsonLimits, type JsonLimits, parseJson } from '@strata/shared/json/parse-json.ts';
import { type Document, isCollection, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml';

/** A document as it was written: its value, and where in the text each part stands. */
export interface Source {
  readonly value: unknown;
  /** Line from 1; undefined for JSON, and for a part that is not there. */
  lineOf(pointer: string): number | undefined;
}

/** Definitions are small: a megabyte of YAML is a mistake or an attack. */
export const definitionLimits: JsonLimits = { ...defaultJsonLimits, maxBytes: 1024 * 1024, maxNodes: 50_000 };

const maxAliases = 50;

/**
 * Reads YAML 1.2 (JSON is a part of it) with merge keys (`<<`), which documents with anchors are written for, and with the limits of JSON: depth, nodes, keys that reach prototypes.
 *
 * @throws GatewayError invalid_request (`yaml_syntax`) and what `parseJson` throws.
 */
export function readYaml(text: string): Source {
  if (text.length > definitionLimits.maxBytes) {
    throw new GatewayError('too_large', `The document is longer than ${definitionLimits.maxBytes} bytes.`, {
      reason: 'body_too_large',
    });
  }
  const counter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: counter,
    schema: 'core',
    version: '1.2',
    uniqueKeys: true,
    prettyErrors: false,
    merge: true,
    // What JSON cannot say is refused, and not turned into something else.
    resolveKnownTags: false,
  });
  const [problem] = [...document.errors, ...document.warnings];
  const lineAt = (offset: number) => counter.linePos(offset).line;
  if (problem !== undefined) {
    const isSecond = problem.code === 'MULTIPLE_DOCS';
    const message = isSecond ? 'there are several documents; send each by itself' : problem.message;
    throw syntaxError(message, lineAt(problem.pos[0]), problem);
  }
  const odd = findOdd(document);
  if (odd !== undefined) throw syntaxError(odd.problem, lineAt(odd.offset));
  const value = toValue(() => document.toJS({ maxAliasCount: maxAliases }));
  return {
    value,
    lineOf(pointer) {
      for (let parts = partsOf(pointer); ; parts = parts.slice(0, -1)) {
        const node = parts.length === 0 ? document.contents : document.getIn(parts, true);
        if (isNode(node) && node.range) return counter.linePos(node.range[0]).line;
        if (parts.length === 0) return undefined;
      }
    },
  };
}

/** The first that YAML can say and JSON cannot: numbers without an end, keys that are no texts. */
function findOdd(
  document: Document.Parsed,
): { readonly problem: string; readonly offset: number } | undefined {
  let found: { readonly problem: string; readonly offset: number } | undefined;
  const stop = (problem: string, offset = 0) => {
    found = { problem, offset };
    return visit.BREAK;
  };
  visit(document, {
    Pair(_, { key }) {
      const isText = !isCollection(key) && !(isScalar(key) && key.value === null);
      return isText ? undefined : stop('a key has to be a text', isNode(key) ? key.range?.[0] : undefined);
    },
    Scalar(_, { value, range }) {
      const isJson = typeof value !== 'number' || Number.isFinite(value);
      return isJson ? undefined : stop(`${value} is no number that JSON has`, range?.[0]);
    },
  });
  return found;
}

/** Back through JSON text: one place has the limits. */
function toValue(read: () => unknown): unknown {
  let text: string;
  try {
    text = JSON.stringify(read()) ?? 'null';
  } catch (error) {
    // Of what refers to itself the runtime would say how JSON sees it.
    const isYamlError = error instanceof Error && !(error instanceof TypeError);
    throw syntaxError(
      isYamlError ? error.message : 'an alias stands in what it stands for',
      undefined,
      error,
    );
  }
  return parseJson(Buffer.from(text), definitionLimits);
}

function syntaxError(message: string, line: number | undefined, cause?: unknown): GatewayError {
  return new GatewayError(
    'invalid_request',
    `The document is not valid YAML${line === undefined ? '' : ` (line ${line})`}: ${message}`,
    { reason: 'yaml_syntax', details: line === undefined ? {} : { line }, cause },
  );
}

/** RFC 6901. Numbers stay text, which the lists of the YAML library take as well. */
function partsOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** For a part of a larger source: pointers are taken to begin at `base`. */
export function partOf(source: Source, base: string, value: unknown): Source {
  return { value, lineOf: pointer => source.lineOf(base + pointer) };
}
