import type { FastifyInstance } from 'fastify';
import type { ApiDeps } from './api-deps.ts';
import { eventMediaTypes as mediaTypes, readCloudEvent, readEventBatch } from './read-cloud-event.ts';
import { requireSize } from './require-size.ts';

/**
 * `POST /v1/events`: publishes a CloudEvent, or a batch of them in their order, to every run of the tenant that listens to its type. It is
 * kept, so that runs that listen later than it came get it too; the same event sent again is the same event, so a batch that was
 * interrupted is sent again as a whole.
 */
export function addCloudEventRoutes(
  app: FastifyInstance,
  { journal, clock, limits, onCreated }: ApiDeps,
): void {
  app.post('/v1/events', { config: { access: 'caller', mediaTypes } }, async (request, reply) => {
    const batch = readEventBatch(request);
    const events = batch ?? [readCloudEvent(request)];
    for (const event of events) requireSize(event, { what: 'event', most: limits().maxValueBytes });
    const { tenant, principal } = request.caller;
    for (const event of events) await journal.publish(tenant, event, { by: principal, atMs: clock.now() });
    onCreated();
    const taken = events.map(({ id, source }) => ({ id, source }));
    return reply.code(202).send(batch === undefined ? taken[0] : { events: taken });
  });
}
