import { cancelledByClient } from '../domain/exchange.ts';
import type { ResponseFrame } from '../domain/frame.ts';

export type CallOutcome = 'ok' | 'tool_error' | 'server_error' | 'failed' | 'cancelled';

/** How a call ended: with an answer of its server, or with whatever was thrown. */
export function callOutcome(answer: ResponseFrame | undefined, failure: unknown): CallOutcome {
  if (answer === undefined) return failure === cancelledByClient ? 'cancelled' : 'failed';
  if (answer.error) return 'server_error';
  const isError = answer.result?.members?.get('isError');
  return isError && answer.bytes[isError.start] === 0x74 ? 'tool_error' : 'ok';
}
