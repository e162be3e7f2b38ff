import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import { eventTextProblem } from '../domain/event-texts.ts';
import type { CloudEvent } from '../domain/run-events.ts';
import type { ApiDeps } from './api-deps.ts';
import { readFields } from './read-body.ts';

const eventText = (name: 'id' | 'source' | 'type') =>
  z.string().superRefine((text, context) => {
    const message = eventTextProblem(name, text);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

/** CloudEvents 1.0.2, JSON format. */
export const eventSchema = z
  .looseObject({
    specversion: z.literal('1.0'),
    id: eventText('id'),
    source: eventText('source'),
    type: eventText('type'),
  })
  .refine(event => Object.keys(event).every(name => /^[a-z0-9_]{1,64}$/.test(name)), {
    message: 'attributes have small letters and digits only',
  });

const mediaTypes = ['application/cloudevents+json', 'application/json'];

/**
 * `POST /v1/events`: publishes a CloudEvent to every run of the tenant that listens to its type. It is kept, so that runs that listen
 * later than it came get it too; the same event sent again is the same event.
 */
export function addCloudEventRoutes(
  app: FastifyInstance,
  { journal, clock, limits, onCreated }: ApiDeps,
): void {
  app.post('/v1/events', { config: { access: 'caller', mediaTypes } }, async (request, reply) => {
    const event: CloudEvent = readFields(request, eventSchema);
    requireSize(JSON.stringify(event).length, limits().maxValueBytes);
    const { tenant, principal } = request.caller;
    await journal.publish(tenant, event, { by: principal, atMs: clock.now() });
    onCreated();
    return reply.code(202).send({ id: event.id, source: event.source });
  });
}

function requireSize(bytes: number, limit: number): void {
  if (bytes <= limit) return;
  throw new GatewayError('too_large', `The event has ${bytes} bytes; it may have ${limit}.`, {
    reason: 'value_too_large',
  });
}
