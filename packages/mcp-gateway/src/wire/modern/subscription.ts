import { splice } from '@strata/shared/json/splice.ts';
import type { NotificationFrame } from '../../domain/frame.ts';
import { firstMember } from '../forward-request.ts';
import { hopMeta } from './meta.ts';

/** A server's notification as one of the client's own `listen` stream: under the id of its request, as it wrote it. */
export function withSubscription({ bytes, params }: NotificationFrame, subscriptionId: string): string {
  if (!params) return bytes.toString();
  const meta = params.members?.get('_meta');
  const member = `${JSON.stringify(hopMeta.subscriptionId)}:${subscriptionId}`;
  if (meta === undefined) return splice(bytes, [firstMember(params, `"_meta":{${member}}`)]).toString();
  const known = meta.members?.get(hopMeta.subscriptionId);
  if (known) return splice(bytes, [{ start: known.start, end: known.end, text: subscriptionId }]).toString();
  // A `_meta` that is no object says nothing.
  const whole = { start: meta.start, end: meta.end, text: `{${member}}` };
  return splice(bytes, [meta.members ? firstMember(meta, member) : whole]).toString();
}

/** The names in a member of `notifications`, in which anything can stand. */
export function textsIn(list: unknown): ReadonlySet<string> {
  return new Set(Array.isArray(list) ? list.filter(each => typeof each === 'string') : []);
}
