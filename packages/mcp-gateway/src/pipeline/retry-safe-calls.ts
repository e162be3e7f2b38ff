import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { CallContext, RunCall } from './call-context.ts';
import { forwardCall } from './forward-call.ts';

/** The conversation was lost with the call under way: whether the server did it, nobody knows. */
const lostUnderWay = new Set([
  'server_session_lost',
  'server_gone',
  'server_stream_ended',
  'upstream_reset',
  'upstream_kept_connection_closed',
]);

/** Methods that the protocol defines as reading. */
const readingMethods = new Set(['prompts/get', 'resources/read', 'completion/complete']);

/**
 * Makes a call again, once, when its conversation was lost and doing it twice is safe: because the operator says so for the tool, or
 * the tool says so and the operator trusts the server's word. Any other call gets the error; its client decides.
 */
export function retrySafeCalls(onRetry: (server: string) => void): RunCall {
  const again = (context: CallContext, error: unknown) => {
    const isLost = error instanceof GatewayError && lostUnderWay.has(error.reason);
    if (!isLost || context.call.end.aborted || !isSafe(context)) return undefined;
    onRetry(context.upstream.name);
    return Promise.resolve().then(() => forwardCall(context));
  };
  return context => forwardCall(context, again);
}

function isSafe({ frame, upstream, serverName, annotations }: CallContext): boolean {
  if (readingMethods.has(frame.method)) return true;
  if (frame.method !== 'tools/call' || serverName === undefined) return false;
  const { retryTools, trustsAnnotations } = upstream.policy;
  if (matchesScope(retryTools, serverName)) return true;
  const { readOnlyHint, idempotentHint } = trustsAnnotations ? annotations() : {};
  return readOnlyHint === true || idempotentHint === true;
}
