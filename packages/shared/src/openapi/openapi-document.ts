import { upgrade } from '@scalar/openapi-upgrader';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { GatewayError } from '../errors/gateway-error.ts';
import { parseJson } from '../json/parse-json.ts';
import { invalid, References } from './inline-references.ts';
import type { OpenapiOperation } from './openapi-operation.ts';
import {
  check,
  looseObject,
  type OperationPlace,
  placeName,
  readOperation,
  servers,
} from './read-operation.ts';

/** What an OpenAPI document offers: 3.1, 3.0, or Swagger 2.0, read as 3.1. */
export interface OpenapiService {
  readonly title: string;
  readonly version: string;
  /** Addresses as written; relative ones are relative to where the document lies. */
  readonly servers: readonly string[];
  readonly operations: ReadonlyMap<string, OpenapiOperation>;
  /** Operations that cannot be used, by id: a mistake in one takes away no other. */
  readonly problems: ReadonlyMap<string, GatewayError>;
}

const maxBytes = 16 * 1024 * 1024;
/** Which takes far longer to read. */
const maxYamlBytes = 4 * 1024 * 1024;
const maxOperations = 3000;
const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const;

const documentSchema = z.looseObject({
  openapi: z.string(),
  info: z.looseObject({ title: z.string().catch(''), version: z.string().catch('') }),
  servers,
  paths: z.record(z.string(), z.unknown()).default({}),
});

/**
 * Reads a document in JSON or YAML.
 *
 * @throws GatewayError invalid_request (`openapi_invalid`), and what `parseJson` throws.
 */
export function readOpenapi(bytes: Buffer): OpenapiService {
  if (bytes.length > maxBytes) throw invalid(`is larger than ${maxBytes} bytes`);
  const document = upgradeDocument(parse(bytes));
  const head = check(documentSchema, document, 'is not one');
  const references = new References(document);
  const operations = new Map<string, OpenapiOperation>();
  const problems = new Map<string, GatewayError>();
  let count = 0;
  const onProblem = (where: string, error: unknown) => problems.set(where, GatewayError.from(error));
  for (const place of placesIn(head.paths, references, onProblem)) {
    if (++count > maxOperations) throw invalid(`has more than ${maxOperations} operations`);
    const name = placeName(place);
    const isTwice = operations.delete(name) || problems.has(name);
    try {
      if (isTwice) throw invalid(`has two operations '${name}'`);
      operations.set(name, readOperation(place, references));
    } catch (error) {
      onProblem(name, error);
    }
  }
  const [problem] = problems.values();
  if (operations.size === 0 && problem !== undefined) throw problem;
  return { title: head.info.title, version: head.info.version, servers: head.servers, operations, problems };
}

function* placesIn(
  paths: z.output<typeof documentSchema>['paths'],
  references: References,
  onProblem: (where: string, error: unknown) => void,
): Iterable<OperationPlace> {
  for (const [path, given] of Object.entries(paths)) {
    if (!path.startsWith('/')) continue; // an extension
    try {
      const item = looseObject(references.follow(given));
      for (const method of methods) if (item[method] !== undefined) yield { path, method, item };
    } catch (error) {
      onProblem(path, error);
    }
  }
}

function parse(bytes: Buffer): unknown {
  if (/^\s*\{/.test(bytes.toString('utf8', 0, 1024))) return parseJson(bytes);
  if (bytes.length > maxYamlBytes)
    throw invalid(`is YAML of more than ${maxYamlBytes} bytes; give it as JSON`);
  const document = parseDocument(bytes.toString('utf8'), {
    schema: 'core',
    merge: false,
    prettyErrors: false,
  });
  const [problem] = document.errors;
  if (problem !== undefined) throw invalid(`is neither JSON nor YAML: ${problem.message}`, problem);
  return parseJson(Buffer.from(JSON.stringify(document.toJS({ maxAliasCount: 50 }) ?? null)));
}

function upgradeDocument(value: unknown): unknown {
  try {
    return upgrade(value as Parameters<typeof upgrade>[0], '3.1'); // it looks for itself what it was given
  } catch (error) {
    throw invalid('cannot be read as OpenAPI 3.1', error);
  }
}
