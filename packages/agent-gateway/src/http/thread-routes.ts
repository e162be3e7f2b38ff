import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { etagOf } from '@strata/shared/http/etag.ts';
import { newId } from '@strata/shared/ids.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { requireWorkflowScope } from '../domain/authority.ts';
import { isExpected } from '../domain/expected.ts';
import type { Thread, ThreadSummary } from '../domain/thread.ts';
import { settleThread, type ThreadDeps } from '../pipeline/settle-thread.ts';
import { threadIsBusy } from '../pipeline/submit-in-thread.ts';
import { maySee } from './find-run.ts';
import { readExpected, unexpected } from './preconditions.ts';
import { checkFields, readFields } from './read-body.ts';
import { requireSize } from './require-size.ts';
import { showSummary as showRunSummary } from './run-view.ts';

const caller = { config: { access: 'caller' } } as const;
const metadata = z.record(z.string().max(200), z.unknown());

export const threadBody = z.strictObject({
  namespace: z
    .string()
    .regex(/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/, 'expected the namespace of workflows')
    .default('default'),
  metadata: metadata.default({}),
  context: z.unknown().optional().describe('What its first run begins with as `$context`.'),
});
export const threadChangeBody = z.strictObject({
  metadata: metadata.optional(),
  context: z.unknown().optional(),
});
export const threadListQuery = z.strictObject({
  cursor: z.string().max(200).default(''),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

export interface ThreadRouteDeps extends ThreadDeps {
  readonly room: () => { readonly most: number; readonly valueBytes: number };
}

interface WithId {
  Params: { id: string };
}

/** `/v1/threads`: what runs that follow one another have in common. */
export function addThreadRoutes(app: FastifyInstance, deps: ThreadRouteDeps): void {
  const { threads, journal, clock, room } = deps;

  app.post('/v1/threads', caller, async (request, reply) => {
    const body = readFields(request, threadBody);
    const { tenant, principal } = request.caller;
    const nowMs = clock.now();
    const id = newId('thread', nowMs);
    requireWorkflowScope(request.caller, { namespace: body.namespace, name: id });
    requireSize(body, { what: 'thread', most: room().valueBytes });
    if ((await threads.count(tenant)) >= room().most) {
      throw new GatewayError('conflict', `There are ${room().most} threads; there may be no more.`, {
        reason: 'too_many_threads',
      });
    }
    const thread: Thread = {
      ...body,
      context: body.context ?? null,
      tenant,
      id,
      revision: 1,
      run: undefined,
      runs: [],
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
      principal,
    };
    await threads.create(thread);
    return reply
      .code(201)
      .header('etag', etagOf(thread.revision))
      .header('location', `/v1/threads/${id}`)
      .send(show(thread));
  });

  app.get<WithId>('/v1/threads/:id', caller, async (request, reply) => {
    const thread = await findThread(request, request.params.id, deps);
    return reply.header('etag', etagOf(thread.revision)).send(show(thread));
  });

  app.patch<WithId>('/v1/threads/:id', caller, async (request, reply) => {
    const change = readFields(request, threadChangeBody);
    requireSize(change, { what: 'thread', most: room().valueBytes });
    const changed = await changeThread(request, deps, thread => {
      if (thread.run !== undefined && change.context !== undefined) throw threadIsBusy(thread.run);
      const { metadata: about = thread.metadata, context = thread.context } = change;
      return threads.change({ ...thread, metadata: about, context }, clock.now());
    });
    return reply.header('etag', etagOf(changed.revision)).send(show(changed));
  });

  app.delete<WithId>('/v1/threads/:id', caller, async (request, reply) => {
    await changeThread(request, deps, async thread => {
      if (thread.run !== undefined) throw threadIsBusy(thread.run);
      return (await threads.delete(thread)) ? true : undefined;
    });
    return reply.code(204).send();
  });

  app.get('/v1/threads', caller, async request => {
    const { cursor, limit } = checkFields(request.query, threadListQuery);
    const page = await threads.list({ tenant: request.caller.tenant, after: cursor, limit });
    const last = page.length === limit ? page.at(-1) : undefined;
    const settled: ThreadSummary[] = [];
    // One after the other: settling reads the whole journal of a run.
    for (const thread of page.filter(each => mayUse(request, each))) {
      const current = await settleSummary(thread, deps);
      if (current !== undefined) settled.push(current);
    }
    return { threads: settled.map(showSummary), ...(last !== undefined && { next_cursor: last.id }) };
  });

  app.get<WithId>('/v1/threads/:id/runs', caller, async request => {
    const { runs, tenant } = await findThread(request, request.params.id, deps);
    const found = await Promise.all(runs.map(id => journal.getRun(tenant, id)));
    const there = found.filter(run => run !== undefined).filter(run => maySee(request.caller, run));
    return { runs: there.map(showRunSummary) };
  });
}

const maxAttempts = 10;

/** What is expected is looked for in the thread as it is now. A change is undefined when somebody else was faster: it is made again. */
async function changeThread<Changed>(
  request: FastifyRequest<WithId>,
  deps: ThreadDeps,
  change: (thread: Thread) => Promise<Changed | undefined>,
): Promise<Changed> {
  const expected = readExpected(request);
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const thread = await findThread(request, request.params.id, deps);
    if (!isExpected(expected, thread.revision)) break;
    const changed = await change(thread);
    if (changed !== undefined) return changed;
  }
  throw unexpected();
}

const mayUse = (request: FastifyRequest, { namespace, id }: ThreadSummary) =>
  maySee(request.caller, { namespace, name: id });

/** As it is now. What a caller may not see is answered like what is not there (S-2). */
export async function findThread(request: FastifyRequest, id: string, deps: ThreadDeps): Promise<Thread> {
  const thread = await deps.threads.get(request.caller.tenant, id);
  if (thread === undefined || !mayUse(request, thread)) {
    throw new GatewayError('not_found', 'There is no such thread.', { reason: 'thread_not_found' });
  }
  return settleThread(thread, deps);
}

/** Undefined when it is gone meanwhile. */
async function settleSummary(thread: ThreadSummary, deps: ThreadDeps): Promise<ThreadSummary | undefined> {
  if (thread.run === undefined) return thread;
  const whole = await deps.threads.get(thread.tenant, thread.id);
  return whole && settleThread(whole, deps);
}

function show({ metadata: about, context, ...thread }: Thread) {
  return { ...showSummary(thread), metadata: about, context };
}

function showSummary({ id, namespace, revision, run, principal, ...at }: ThreadSummary) {
  return {
    id,
    namespace,
    revision,
    status: run === undefined ? 'idle' : 'busy',
    ...(run !== undefined && { run }),
    principal,
    created_at: new Date(at.createdAtMs).toISOString(),
    updated_at: new Date(at.updatedAtMs).toISOString(),
  };
}
