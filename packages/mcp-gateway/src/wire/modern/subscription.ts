import { splice } from '@strata/shared/json/splice.ts';
import type { NotificationFrame } from '../../domain/frame.ts';
import { firstMember } from '../forward-request.ts';
import { answerScanLimits, scanWithin } from '../json-scanner.ts';
import { hopMeta } from './meta.ts';

/** A server's notification as one of the client's own `listen` stream: under the id of its request, as it wrote it. */
export function withSubscription({ bytes, params }: NotificationFrame, subscriptionId: string): string {
  if (!params) return bytes.toString();
  const span = params.members?.get('_meta');
  const meta = span && scanWithin(bytes, span, {}, answerScanLimits);
  const known = meta?.members?.get(hopMeta.subscriptionId);
  const member = `${JSON.stringify(hopMeta.subscriptionId)}:${subscriptionId}`;
  if (known) return splice(bytes, [{ start: known.start, end: known.end, text: subscriptionId }]).toString();
  const edit = meta ? firstMember(meta, member) : firstMember(params, `"_meta":{${member}}`);
  return splice(bytes, [edit]).toString();
}
