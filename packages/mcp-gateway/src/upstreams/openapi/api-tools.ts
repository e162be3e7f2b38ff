import type { OpenapiOperation, OpenapiParameter } from '@strata/shared/openapi/openapi-operation.ts';
import { argumentsSchemaOf } from '@strata/shared/openapi/openapi-request.ts';
import type { JsonObject } from '../../domain/capabilities.ts';
import type { RemoteServer } from '../remote-server.ts';
import { isOperatorsQuery } from './operators-query.ts';

/** One operation of an API, and how `tools/list` shows it. */
export interface ApiTool {
  /** Less what is the operator's to say. */
  readonly operation: OpenapiOperation;
  /** Arguments that are the operator's to say: what a caller says about them is left out. */
  readonly operators: ReadonlySet<string>;
  /** Where its path begins; headers hold the operator's credential. */
  readonly remote: RemoteServer;
  readonly shown: JsonObject;
}

/** What the operator says to an API with every request, by name. */
export interface OperatorsWord {
  readonly remote: RemoteServer;
  readonly query: Readonly<Record<string, string>>;
}

const readingMethods = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
const repeatableMethods = new Set([...readingMethods, 'PUT', 'DELETE']);

/** What may be done twice follows from the method (RFC 9110 section 9.2). */
export function apiTool(described: OpenapiOperation, word: OperatorsWord): ApiTool {
  const { id, method, path, summary, description, parameters } = described;
  const told = [summary, description].filter(text => text !== undefined && text !== '');
  const operators = parameters.filter(each => isOperators(each, word));
  const operation = { ...described, parameters: parameters.filter(each => !operators.includes(each)) };
  return {
    operation,
    operators: new Set(operators.map(each => each.argument)),
    remote: word.remote,
    shown: {
      name: id,
      description: told.join('\n\n') || `${method} ${path}`,
      inputSchema: argumentsSchemaOf(operation),
      annotations: {
        readOnlyHint: readingMethods.has(method),
        idempotentHint: repeatableMethods.has(method),
        destructiveHint: method === 'DELETE' || method === 'PUT',
        openWorldHint: true,
      },
    },
  };
}

/** Such parameters are none (OpenAPI 3.1, "Parameter Object", `name`). */
const headersOfTheProtocol = new Set(['accept', 'content-type', 'authorization']);

/** Credentials and cookies, and whatever is configured: it is said for everybody, so nobody needs to say it or can say it otherwise. */
function isOperators({ in: place, name }: OpenapiParameter, { remote, query }: OperatorsWord): boolean {
  if (place === 'query') return isOperatorsQuery(name, query);
  if (place !== 'header') return place === 'cookie';
  const header = name.toLowerCase();
  return headersOfTheProtocol.has(header) || Object.hasOwn(remote.headers, header);
}
