import { formatTraceparent } from '@strata/shared/http/trace-context.ts';
import type { Attempt } from '../domain/call.ts';
import { streamTypeOf } from '../domain/protocol.ts';
import type { OutgoingRequest } from '../domain/provider.ts';
import type { Way } from './way.ts';

/** A request as it is shown to the credential, which adds its own headers. */
export interface Outgoing extends OutgoingRequest {
  readonly headers: Record<string, string>;
}

export function outgoingOf(attempt: Attempt, way: Way): Outgoing {
  const { call, target } = attempt;
  const { access } = way;
  return {
    method: access.method ?? 'POST',
    origin: target.provider.origin,
    path: access.path({ model: target.model, isStream: call.request.isStream }),
    headers: requestHeaders(attempt, way),
    body: way.body,
    signal: call.signal,
  };
}

function requestHeaders({ call, target, trace }: Attempt, way: Way): Record<string, string> {
  const headers: Record<string, string> = {
    ...target.provider.headers,
    'content-type': 'application/json',
    accept: call.request.isStream ? streamTypeOf(way.protocol) : 'application/json',
    // A compressed answer could not be passed on as it comes, and could be a bomb (F32).
    'accept-encoding': 'identity',
    traceparent: formatTraceparent(trace),
  };
  if (way.protocol !== call.protocol && way.protocol.hosts !== call.protocol.name) return headers; // its headers mean nothing in another protocol
  for (const name of way.protocol.requestHeaders) {
    const value = call.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}
