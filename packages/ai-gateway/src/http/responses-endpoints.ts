import type { Caller } from '@strata/shared/identity/caller.ts';
import type { FastifyInstance } from 'fastify';
import { ownerOf } from '../domain/owner.ts';
import { type ContinuationDeps, continuationOf, withHistory } from '../pipeline/continuations.ts';
import { openaiResponses } from '../protocols/openai-responses/openai-responses.ts';
import { type BackgroundDeps, createInBackground } from './background-responses.ts';
import { addCountEndpoint, type CountEndpointDeps } from './count-endpoint.ts';
import { type KeepDeps, keepAnswer } from './keep-responses.ts';
import {
  type ModelEndpoint,
  type ModelEndpointDeps,
  modelHandler,
  modelRouteConfig,
} from './model-endpoint.ts';
import { addStoredResponseEndpoints } from './stored-responses-endpoints.ts';

export const responsesPath = '/v1/responses';

/** Responses: create, and everything about an answer that was kept. */
export function addResponsesEndpoints(
  app: FastifyInstance,
  deps: ModelEndpointDeps &
    CountEndpointDeps &
    KeepDeps &
    ContinuationDeps &
    BackgroundDeps & { beforeReading(body: Buffer, caller: Caller): Promise<Buffer> },
): void {
  const prepare = async (body: Buffer, caller: Caller) =>
    withHistory(deps, ownerOf(caller), await deps.beforeReading(body, caller));
  const endpoint: ModelEndpoint = {
    path: responsesPath,
    protocol: openaiResponses,
    around: (call, next) => keepAnswer(deps, call, next),
  };
  const answerNow = modelHandler(endpoint, deps);
  app.post(endpoint.path, { config: modelRouteConfig(endpoint) }, async (request, reply) => {
    const written = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const body = await prepare(written, request.caller);
    request.body = body;
    if (continuationOf(body).background === undefined) return answerNow(request, reply);
    return createInBackground(deps, { request, reply, body });
  });
  const counted = { path: `${responsesPath}/input_tokens`, protocol: openaiResponses, prepare };
  addCountEndpoint(app, counted, deps);
  addStoredResponseEndpoints(app, { ...deps, path: responsesPath });
}
