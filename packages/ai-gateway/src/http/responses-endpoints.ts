import type { GatewayServer } from '@strata/shared/http/server.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { ownerOf } from '../domain/owner.ts';
import { type ContinuationDeps, continuationOf, withHistory } from '../pipeline/continuations.ts';
import { withReferencedItems } from '../pipeline/item-references.ts';
import { openaiResponses } from '../protocols/openai-responses/openai-responses.ts';
import { openaiCompact } from '../protocols/same-protocol/same-protocol.ts';
import { type BackgroundDeps, createInBackground } from './background-responses.ts';
import { addCountEndpoint, type CountEndpointDeps } from './count-endpoint.ts';
import { type KeepDeps, keepAnswer } from './keep-responses.ts';
import {
  addModelEndpoint,
  type ModelEndpoint,
  type ModelEndpointDeps,
  modelHandler,
  modelRoute,
} from './model-endpoint.ts';
import { addStoredResponseEndpoints } from './stored-responses-endpoints.ts';

export const responsesPath = '/v1/responses';

/** Responses: create, and everything about an answer that was kept. */
export function addResponsesEndpoints(
  server: GatewayServer,
  deps: ModelEndpointDeps &
    CountEndpointDeps &
    KeepDeps &
    ContinuationDeps &
    BackgroundDeps & { beforeReading(body: Buffer, caller: Caller): Promise<Buffer> | Buffer },
): void {
  const prepare = async (body: Buffer, caller: Caller) =>
    withHistory(
      deps,
      ownerOf(caller),
      await withReferencedItems(deps.responses, ownerOf(caller), await deps.beforeReading(body, caller)),
    );
  const endpoint: ModelEndpoint = {
    path: responsesPath,
    protocol: openaiResponses,
    around: (call, next) => keepAnswer(deps, call, next),
  };
  const answerNow = modelHandler(endpoint, deps);
  server.addDirect({
    ...modelRoute(endpoint),
    async handle(request) {
      request.body = await prepare(request.body, request.caller);
      if (continuationOf(request.body).background === undefined) await answerNow(request);
      else await createInBackground(deps, request);
    },
  });
  addModelEndpoint(server, { path: `${responsesPath}/compact`, protocol: openaiCompact, prepare }, deps);
  const counted = { path: `${responsesPath}/input_tokens`, protocol: openaiResponses, prepare };
  addCountEndpoint(server, counted, deps);
  addStoredResponseEndpoints(server.app, { ...deps, path: responsesPath });
}
