import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import { renderRequest } from '../wire/render.ts';
import type { Connection, Pending } from './connection.ts';

/** The server does not know the session any more and did nothing: the request may be made again in a new one. */
export class SessionLost extends Error {}

/** A request of the gateway's own on one connection. @throws SessionLost, GatewayError, or the signal's reason */
export function askOn(
  connection: Connection,
  method: string,
  params: Readonly<Record<string, unknown>>,
  signal: StopSignal,
  headers?: Readonly<Record<string, string>>,
): Promise<ResponseFrame> {
  return new Promise((resolve, reject) => {
    let id = 0;
    const onAbort = () => {
      connection.abandon(id);
      reject(signal.reason);
    };
    const settle = (act: () => void) => {
      signal.removeEventListener('abort', onAbort);
      act();
    };
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    const pending: Pending = {
      progressToken: undefined,
      isForwarded: false,
      onNotification: () => {},
      onRequest: () => {},
      onAnswer: frame => settle(() => resolve(frame)),
      onFailure: error => settle(() => reject(error)),
      onSessionLost: () => settle(() => reject(new SessionLost())),
    };
    id = connection.send(own => renderRequest(own, method, params), pending, headers);
  });
}

const signOfLifeMs = 5000;

/** Asks for anything at all, and says whether an answer came in time. What else goes wrong is none of this question. */
export async function showsLife(
  connection: Connection,
  method: string,
  params: Readonly<Record<string, unknown>>,
  maxMs: number,
): Promise<boolean> {
  const signal = AbortSignal.timeout(Math.min(signOfLifeMs, maxMs));
  return askOn(connection, method, params, signal).then(
    () => true,
    () => !signal.aborted,
  );
}
