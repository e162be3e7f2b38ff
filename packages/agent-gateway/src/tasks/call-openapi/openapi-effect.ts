import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { type OpenapiService, readOpenapi } from '@strata/shared/openapi/openapi-document.ts';
import type { OpenapiOperation } from '@strata/shared/openapi/openapi-operation.ts';
import { buildOpenapiRequest } from '@strata/shared/openapi/openapi-request.ts';
import type { CallContext, Effect } from '../../domain/effect.ts';
import type { HttpCall, HttpCallResult } from '../call-http/http-call.ts';
import type { OpenapiCall, OpenapiCallResult } from './openapi-call.ts';

const keptMs = 300_000;
const maxKept = 50;
/** Documents may be larger than results. */
const maxDocumentBytes = 4 * 1024 * 1024;

/** Requests of `call: openapi`: the document says how, and the effect of `call: http` makes them, so its limits hold here too. */
export function createOpenapiEffect({
  http,
  clock,
}: {
  readonly http: Effect;
  readonly clock: Clock;
}): Effect {
  const kept = new Map<string, { readonly service: Promise<OpenapiService>; readonly untilMs: number }>();

  function serviceOf(call: OpenapiCall, context: CallContext): Promise<OpenapiService> {
    // Who asks may decide what the document says, so it is kept for whoever has the same credentials and may use them.
    const user = call.documentCredentials && [context.identity.tenant, context.workflow];
    const address = JSON.stringify([call.document, call.documentCredentials, user]);
    const known = kept.get(address);
    if (known !== undefined && known.untilMs > clock.monotonic()) return known.service;
    const [oldest] = kept.keys();
    if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest);
    const service = fetchService(call, context);
    kept.set(address, { service, untilMs: clock.monotonic() + keptMs });
    service.catch(() => kept.delete(address)); // the next call asks again
    return service;
  }

  async function fetchService(call: OpenapiCall, context: CallContext): Promise<OpenapiService> {
    const request = { ...plainGet(call.document), credentials: call.documentCredentials, wantsRaw: true };
    const { result } = await http.perform(request, { ...context, maxResultBytes: maxDocumentBytes });
    const answer = result as HttpCallResult; // from the effect `http`
    if (answer.isProblem) {
      throw new GatewayError(
        'upstream_failed',
        `The OpenAPI document could not be read (${answer.status}).`,
        {
          reason: 'openapi_document_unavailable',
          details: { upstream_status: answer.status },
        },
      );
    }
    return readOpenapi(Buffer.from(String(answer.content), 'base64'));
  }

  return {
    type: 'openapi',
    async perform(request, context) {
      const call = request as OpenapiCall; // planned by `call: openapi`
      const service = await serviceOf(call, context);
      const operation = operationOf(service, call);
      const { method, path, headers, body } = buildOpenapiRequest(operation, call.parameters);
      const uri = serverOf(service, operation, call.document) + path;
      const made: Omit<OpenapiCallResult, 'answer'> = { method, uri, headers };
      if (call.describe === true)
        return { result: { ...made, answer: undefined } satisfies OpenapiCallResult };
      const http_ = {
        ...plainGet(uri),
        method,
        headers,
        body,
        credentials: call.credentials,
        acceptsRedirect: call.acceptsRedirect,
        wantsRaw: call.wantsRaw,
      };
      const { result } = await http.perform(http_, context);
      return { result: { ...made, answer: result as HttpCallResult } satisfies OpenapiCallResult }; // from `http`
    },
  };
}

function plainGet(uri: string): HttpCall {
  return { method: 'GET', uri, headers: {}, query: {}, body: null, acceptsRedirect: false, wantsRaw: false };
}

function operationOf(
  { operations, problems }: OpenapiService,
  { operationId }: OpenapiCall,
): OpenapiOperation {
  const operation = operations.get(operationId);
  if (operation !== undefined) return operation;
  const problem = problems.get(operationId);
  if (problem !== undefined) throw problem;
  const known = [...operations.keys()].slice(0, 20).join(', ');
  throw new GatewayError(
    'invalid_request',
    `The OpenAPI document has no operation '${operationId}' (${known}).`,
    {
      reason: 'openapi_operation_unknown',
    },
  );
}

/** The first server; what it leaves open is as for the document (OpenAPI 3.1, "Server Object"). */
function serverOf(service: OpenapiService, operation: OpenapiOperation, document: string): string {
  const [written = '/'] = [...operation.servers, ...service.servers];
  const url = URL.parse(written, document);
  if (url === null) {
    throw new GatewayError(
      'invalid_request',
      `The OpenAPI document names the server '${written}', which is no address.`,
      {
        reason: 'openapi_invalid',
      },
    );
  }
  return url.origin + url.pathname.replace(/\/$/, '');
}
