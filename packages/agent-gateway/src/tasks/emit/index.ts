import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { newId } from '@strata/shared/ids.ts';
import * as z from 'zod';
import { eventProblem } from '../../domain/event-texts.ts';
import type { CloudEvent } from '../../domain/run-events.ts';
import { defineTask } from '../../domain/task-type.ts';
import type { Template } from '../../domain/workflow.ts';
import { checkShape } from '../check-shape.ts';

const emitSchema = z.strictObject({
  event: z.strictObject({
    with: z.looseObject({ source: z.string().min(1), type: z.string().min(1) }),
  }),
});

/** CloudEvents 1.0.2, "Naming conventions". */
const attributeName = /^[a-z0-9]{1,64}$/;

/**
 * `emit`: publishes a CloudEvent (1.0.2), once. Its record and the event are one, so there is never the one without the other; its
 * output is the event.
 */
export const emitTask = defineTask<{ readonly attributes: Template }, { readonly event: CloudEvent }>({
  type: 'emit',
  keys: ['emit'],
  compile({ emit }, context) {
    const pointer = `${context.path}/emit`;
    const attributes = checkShape(emitSchema, { value: emit, pointer }, context)?.event.with ?? {};
    for (const name of Object.keys(attributes)) {
      if (!attributeName.test(name))
        context.mistake(
          `${pointer}/event/with/${name}`,
          'Attributes of events have small letters and digits only.',
        );
    }
    return { attributes: context.template(attributes, `${pointer}/event/with`) };
  },
  async prepare({ attributes }, scope) {
    const given = (await scope.evaluate(attributes)) as Record<string, unknown>; // the template of an object
    const event: CloudEvent = {
      specversion: '1.0',
      id: newId('event', scope.nowMs),
      time: new Date(scope.nowMs).toISOString(),
      ...Object.fromEntries(
        Object.entries(given).map(([name, value]) => [name, name === 'data' ? value : toText(value)]),
      ),
      source: toText(given.source),
      type: toText(given.type),
    };
    const problem = eventProblem(event);
    if (problem !== undefined) {
      throw new GatewayError('invalid_request', `The event cannot be published: ${problem}.`, {
        reason: 'data_invalid',
      });
    }
    return { event };
  },
  plan({ arguments: { event }, hasEmitted }) {
    return hasEmitted ? { type: 'complete', output: event } : { type: 'emit', event };
  },
});

const toText = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value ?? ''));
