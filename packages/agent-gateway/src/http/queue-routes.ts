import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { requireWorkflowScope } from '../domain/authority.ts';
import type { QueueChange, QueueSummary } from '../domain/queue.ts';
import type { ApiDeps } from './api-deps.ts';
import { checkFields, readFields } from './read-body.ts';

const caller = { config: { access: 'caller' } } as const;

export const queueListQuery = z.strictObject({
  cursor: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

/** What is left out stays as it is; a limit of `null` leaves it to the runs. */
export const queueBody = z.strictObject({
  limit: z.int().min(1).max(10_000).nullable().optional(),
  paused: z.boolean().optional(),
});

const verbs: Readonly<Record<string, QueueChange>> = {
  pause: { isPaused: true },
  resume: { isPaused: false },
};

interface WithName {
  Params: { name: string };
}

/** `/v1/queues`: who is in progress and who waits, by concurrency key; a limit of its own, and a pause, for those that need one. */
export function addQueueRoutes(app: FastifyInstance, deps: ApiDeps): void {
  const { journal } = deps;

  app.get('/v1/queues', caller, async request => {
    requireAll(request);
    const { cursor, limit } = checkFields(request.query, queueListQuery);
    const page = await journal.listQueues(request.caller.tenant, { after: cursor, limit });
    const next = page.length === limit ? page.at(-1)?.name : undefined;
    return { queues: page.map(show), ...(next !== undefined && { next_cursor: next }) };
  });

  app.get<WithName>('/v1/queues/:name', caller, async request => {
    requireAll(request);
    return show(await find(request, request.params.name, deps));
  });

  app.put<WithName>('/v1/queues/:name', caller, async request => {
    const { limit, paused } = readFields(request, queueBody);
    const change = {
      ...(limit !== undefined && { limit }),
      ...(paused !== undefined && { isPaused: paused }),
    };
    return changeQueue(request, request.params.name, change, deps);
  });

  app.post<WithName>('/v1/queues/:name', caller, async request => {
    // A key may have colons of its own.
    const [, name = '', verb = ''] = /^(.*):([a-z]*)$/s.exec(request.params.name) ?? [];
    const change = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
    if (change === undefined) {
      const known = Object.keys(verbs).join(', ');
      throw new GatewayError('not_found', `The verbs of a queue are ${known}.`, { reason: 'unknown_route' });
    }
    await find(request, name, deps);
    return changeQueue(request, name, change, deps);
  });
}

/** Keys are data of whichever runs of the tenant: they are for those who may use all of its workflows. */
function requireAll({ caller: by }: FastifyRequest): void {
  requireWorkflowScope(by, { namespace: '*', name: '*' });
}

async function changeQueue(
  request: FastifyRequest,
  name: string,
  change: QueueChange,
  { journal, clock, onCreated, recordChange }: ApiDeps,
) {
  requireAll(request);
  const { tenant } = request.caller;
  if (name.length === 0 || name.length > 200)
    throw new GatewayError('invalid_request', 'The name of a queue has 1 to 200 characters.', {
      reason: 'request_invalid',
      param: 'name',
    });
  await journal.changeQueue(tenant, name, { ...change, atMs: clock.now() });
  await recordChange(request, { action: 'queue.change', id: name, details: { ...change } });
  onCreated();
  const none = { name, limit: undefined, isPaused: false, running: 0, waiting: 0, nextCameAtMs: undefined };
  return show((await journal.getQueue(tenant, name)) ?? none);
}

async function find(request: FastifyRequest, name: string, { journal }: ApiDeps): Promise<QueueSummary> {
  requireAll(request);
  const queue = await journal.getQueue(request.caller.tenant, name);
  if (queue !== undefined) return queue;
  throw new GatewayError('not_found', 'No run is in such a queue, and nothing is set for it.', {
    reason: 'queue_not_found',
  });
}

function show({ name, limit, isPaused, running, waiting, nextCameAtMs }: QueueSummary) {
  return {
    name,
    paused: isPaused,
    running,
    waiting,
    ...(limit !== undefined && { limit }),
    ...(nextCameAtMs !== undefined && { next_waits_since: new Date(nextCameAtMs).toISOString() }),
  };
}
