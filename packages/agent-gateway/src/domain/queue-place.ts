import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Expressions } from './expressions.ts';
import type { QueuePlace } from './queue.ts';
import { evaluateTemplate } from './template-values.ts';
import type { Workflow } from './workflow.ts';

const maxNameLength = 200;

/**
 * The queue that a run of this workflow belongs to. A key is data: the same key is the same queue, in every workflow of the tenant.
 *
 * @throws GatewayError invalid_request (`concurrency_key_invalid`, `expression_failed`).
 */
export async function queuePlaceOf(
  { concurrency, namespace, name }: Workflow,
  input: unknown,
  expressions: Pick<Expressions, 'evaluate'>,
): Promise<QueuePlace | undefined> {
  if (concurrency === undefined) return undefined;
  const { key, limit } = concurrency;
  if (key === undefined) return { name: `${namespace}/${name}`, limit };
  const variables = { input, workflow: { input, definition: { document: { namespace, name } } } };
  const value = await evaluateTemplate(key, { data: input, variables }, expressions);
  const isKey = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  const text = isKey ? String(value) : '';
  if (text !== '' && text.length <= maxNameLength && !/\p{Cc}/u.test(text)) return { name: text, limit };
  throw new GatewayError(
    'invalid_request',
    `The concurrency key of a run is a text of 1 to ${maxNameLength} characters, or a number; this input gives none.`,
    { reason: 'concurrency_key_invalid', param: 'input' },
  );
}
