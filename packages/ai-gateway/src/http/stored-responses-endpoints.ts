import type { OutgoingHttpHeaders } from 'node:http';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { openaiErrors } from '@strata/shared/errors/openai.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { BackgroundRun } from '../domain/background-run.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { ownerOf } from '../domain/owner.ts';
import { isUnderWay, type ResponseStore, type StoredResponse } from '../domain/stored-response.ts';
import { conversationItems } from '../pipeline/conversation-items.ts';
import { type BackgroundDeps, eventsExpired, followResponse } from './background-responses.ts';
import { listOf, pageOf, type Query } from './object-lists.ts';

export interface StoredResponseDeps extends BackgroundDeps {
  readonly responses: ResponseStore;
  readonly clock: Clock;
}

/** What can be done with a response that was kept. */
export function addStoredResponseEndpoints(
  app: FastifyInstance,
  deps: StoredResponseDeps & { readonly path: string },
): void {
  const { responses, runs, path } = deps;
  const options = { config: { access: 'caller', errors: openaiErrors } } as const;
  // No HEAD: what is asked for may be a stream.
  app.get(`${path}/:id`, { ...options, exposeHeadRoute: false }, (request, reply) =>
    retrieve(deps, request, reply),
  );
  app.delete(`${path}/:id`, options, async request => {
    const run = runOf(request);
    if (!(await responses.remove(run.owner, run.id))) throw unknownResponse(run.id);
    await runs.removed(run);
    return { id: run.id, object: 'response', deleted: true };
  });
  app.get(`${path}/:id/input_items`, options, async request => {
    const { input } = await find(deps, request);
    return pageOfItems(input, request.query as Query); // Fastify parses it into an object
  });
  app.post(`${path}/:id/cancel`, options, async request => {
    const { response } = await find(deps, request);
    if (response.background === true) return (await runs.cancel(runOf(request))) ?? response;
    throw new GatewayError('invalid_request', 'Only an answer in the background can be cancelled.', {
      reason: 'response_not_cancellable',
    });
  });
}

async function retrieve(
  deps: StoredResponseDeps,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | JsonObject> {
  const { response } = await find(deps, request);
  const query = request.query as Query;
  if (query.stream !== 'true') return response;
  const run = runOf(request);
  const after = startingAfter(query.starting_after);
  if (response.background !== true) throw notStreamable();
  const events = await deps.background.events(run, after);
  if (events === undefined) throw notStreamable();
  if (events.first > after + 1 && events.frames.length > 0) throw eventsExpired();
  reply.hijack();
  const replyHeaders = reply.getHeaders() as OutgoingHttpHeaders; // Fastify's type only adds names
  followResponse(deps, { request: { gone: request.gone, response: reply.raw, replyHeaders }, run, after });
  return reply;
}

/** -1 for all of them. */
function startingAfter(asked: unknown): number {
  if (asked === undefined || asked === '') return -1;
  const after = typeof asked === 'string' && /^\d{1,15}$/.test(asked) ? Number(asked) : undefined;
  if (after !== undefined) return after;
  throw new GatewayError('invalid_request', '`starting_after` must be the number of an event.', {
    reason: 'starting_after_invalid',
    param: 'starting_after',
  });
}

function notStreamable(): GatewayError {
  return new GatewayError(
    'invalid_request',
    'Only a response that was created with `background: true` and `stream: true` can be streamed again.',
    { reason: 'response_not_streamable', param: 'stream' },
  );
}

function runOf(request: FastifyRequest): BackgroundRun {
  const { id } = request.params as { id: string }; // the parameter of these very paths
  return { owner: ownerOf(request.caller), id };
}

async function find(
  { responses, runs }: StoredResponseDeps,
  request: FastifyRequest,
): Promise<StoredResponse> {
  const run = runOf(request);
  const stored = await responses.find(run.owner, run.id);
  if (stored === undefined) throw unknownResponse(run.id);
  if (!isUnderWay(stored.response)) return stored;
  return { ...stored, response: (await runs.endIfDead(run)) ?? stored.response };
}

function unknownResponse(id: string): GatewayError {
  return new GatewayError('not_found', `There is no response '${id.slice(0, 200)}' for this key.`, {
    reason: 'response_not_found',
  });
}

/** As a conversation would keep them; each answers by the same id however often it is asked for. */
function namedItems(input: readonly JsonObject[]): JsonObject[] {
  const named = input.map((item, index) => ({ id: `item_${index}`, ...item }));
  return conversationItems(named, 0);
}

/** A page of what led to the response. */
function pageOfItems(input: readonly JsonObject[], query: Query): object {
  const { after, limit, order } = pageOf(query, { defaultLimit: 20, maxLimit: 100, after: query.after });
  const named = namedItems(input);
  const ordered = order === 'asc' ? named : named.toReversed();
  const start = after === undefined ? 0 : ordered.findIndex(item => item.id === after) + 1;
  return listOf(ordered.slice(start, start + limit + 1), limit);
}
