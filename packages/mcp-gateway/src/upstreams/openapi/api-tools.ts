import type { OpenapiOperation, OpenapiParameter } from '@strata/shared/openapi/openapi-document.ts';
import { argumentsSchemaOf } from '@strata/shared/openapi/openapi-request.ts';
import type { JsonObject } from '../../domain/capabilities.ts';

/** One operation of an API, and how `tools/list` shows it. */
export interface ApiTool {
  readonly operation: OpenapiOperation;
  readonly shown: JsonObject;
}

const readingMethods = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
const repeatableMethods = new Set([...readingMethods, 'PUT', 'DELETE']);

/** What may be done twice follows from the method (RFC 9110 section 9.2). */
export function apiTool(operation: OpenapiOperation): ApiTool {
  const { id, method, path, summary, description } = operation;
  const told = [summary, description].filter(text => text !== undefined && text !== '');
  return {
    operation,
    shown: {
      name: id,
      description: told.join('\n\n') || `${method} ${path}`,
      inputSchema: argumentsSchemaOf({ ...operation, parameters: operation.parameters.filter(isCallers) }),
      annotations: {
        readOnlyHint: readingMethods.has(method),
        idempotentHint: repeatableMethods.has(method),
        destructiveHint: method === 'DELETE' || method === 'PUT',
        openWorldHint: true,
      },
    },
  };
}

/** Credentials and cookies are the operator's: what a caller says about them is left out. */
function isCallers({ in: place, name }: OpenapiParameter): boolean {
  return place !== 'cookie' && !(place === 'header' && name.toLowerCase() === 'authorization');
}
