import { openEventStream } from '@strata/shared/http/event-stream.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { RunEvent } from '../domain/run-events.ts';
import { type RunStatus, terminalStatuses } from '../domain/run-state.ts';
import { awaitRecords } from '../pipeline/await-run.ts';
import type { ApiDeps } from './api-deps.ts';
import { findRun } from './find-run.ts';
import { checkFields } from './read-body.ts';
import { showRecord } from './run-view.ts';

export const eventStreamQuery = z.strictObject({
  after: z.coerce.number().int().min(0).optional(),
  /** Globs over the types to be sent, joined by commas; all of them when absent. */
  types: z
    .string()
    .max(1000)
    .transform(text => text.split(','))
    .optional(),
});
const pageSize = 200;
const retryMs = 1000;

const lastEvents: ReadonlySet<RunEvent['type']> = new Set([
  'run-completed',
  'run-failed',
  'run-cancelled',
  'run-terminated',
  'run-exported',
]);

/**
 * `GET /v1/runs/{id}/events`: the journal as server-sent events, `id` being its sequence number. A client that was cut off
 * sends the last one it saw and gets exactly the rest, from any process, also after the run has ended (AG-5).
 */
export function addEventRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get<{ Params: { id: string } }>(
    '/v1/runs/:id/events',
    { config: { access: 'caller' }, exposeHeadRoute: false }, // a stream has no length to tell of
    async (request, reply) => {
      const run = await findRun(request.caller, request.params.id, deps.journal);
      const after = readPosition(request);
      // 204 is how an EventSource is told not to come back (WHATWG HTML 9.2.3).
      if (isOver(run.status) && after >= run.position) return reply.code(204).send();
      const { types } = checkFields(request.query, eventStreamQuery);
      await stream(request, reply, { runId: run.id, after, types }, deps);
      return undefined;
    },
  );
}

function readPosition(request: FastifyRequest): number {
  const { after } = checkFields(request.query, eventStreamQuery);
  const header = request.headers['last-event-id'];
  if (typeof header === 'string' && /^[0-9]{1,15}$/.test(header)) return Number(header);
  return after ?? 0;
}

async function stream(
  request: FastifyRequest,
  reply: FastifyReply,
  { runId, after, types }: { runId: string; after: number; types: readonly string[] | undefined },
  { journal, clock, isDraining }: ApiDeps,
): Promise<void> {
  const events = openEventStream(request, reply);
  let position = after;
  let told = after;
  // Events that the client did not want move its position too, so that it does not come back for them.
  const tellPosition = async () => {
    if (position !== told) await events.write(`id: ${position}\n\n`);
  };
  try {
    while (!events.signal.aborted) {
      const news = awaitRecords(runId, { journal, clock, signal: events.signal, maxMs: retryMs });
      const page = await journal.read(runId, position, pageSize);
      for (const record of page) {
        const { type } = record.event;
        position = record.seq;
        if (types === undefined || matchesScope(types, type)) {
          await events.event({
            event: type,
            id: String(record.seq),
            data: JSON.stringify(showRecord(record)),
          });
          told = position;
        }
        // A run that was taken up again has more than one end.
        if (!lastEvents.has(type) || (await journal.read(runId, position, 1)).length > 0) continue;
        news.close();
        await tellPosition();
        return await events.end();
      }
      if (page.length === 0) {
        // Who is told to come back loses nothing: another process goes on from the position.
        if (isDraining()) {
          news.close();
          await tellPosition();
          await events.write(`retry: ${retryMs}\n\n`);
          return await events.end();
        }
        await news.heard;
      }
      news.close();
    }
  } catch {
    // The client left, or the drain ended the stream: it comes back with its position.
  }
  reply.raw.end();
}

const isOver = (status: RunStatus) => terminalStatuses.has(status);
