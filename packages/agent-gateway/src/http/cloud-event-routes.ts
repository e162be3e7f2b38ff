import type { FastifyInstance } from 'fastify';
import type { ApiDeps } from './api-deps.ts';
import { eventMediaTypes as mediaTypes, readCloudEvent } from './read-cloud-event.ts';
import { requireSize } from './require-size.ts';

/**
 * `POST /v1/events`: publishes a CloudEvent to every run of the tenant that listens to its type. It is kept, so that runs that listen
 * later than it came get it too; the same event sent again is the same event.
 */
export function addCloudEventRoutes(
  app: FastifyInstance,
  { journal, clock, limits, onCreated }: ApiDeps,
): void {
  app.post('/v1/events', { config: { access: 'caller', mediaTypes } }, async (request, reply) => {
    const event = readCloudEvent(request);
    requireSize(event, { what: 'event', most: limits().maxValueBytes });
    const { tenant, principal } = request.caller;
    await journal.publish(tenant, event, { by: principal, atMs: clock.now() });
    onCreated();
    return reply.code(202).send({ id: event.id, source: event.source });
  });
}
