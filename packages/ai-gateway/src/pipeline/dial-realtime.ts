import type { IncomingMessage } from 'node:http';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer } from '@strata/shared/http/dialer.ts';
import { joinPath } from '@strata/shared/http/origin.ts';
import { formatTraceparent } from '@strata/shared/http/trace-context.ts';
import { createDeadline } from '@strata/shared/resilience/deadline.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import { WebSocket } from 'ws';
import type { Attempt, Call } from '../domain/call.ts';
import { classify } from '../domain/classify.ts';
import { AttemptFailure, failureTable } from '../domain/failure.ts';
import { refusalError } from '../domain/refusal-error.ts';
import { readRetryAfter } from '../domain/retry-after.ts';
import { readErrorCodes } from '../protocols/openai-chat/errors.ts';
import { isTranscription, transcriptionIntent } from '../protocols/openai-realtime/client-events.ts';
import { parseObject, readErrorMessage } from '../protocols/read-json.ts';
import { type Proof, prove } from './prove.ts';

export interface DialRealtimeDeps {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly handshakeTimeoutMs: number;
  readonly maxMessageBytes: number;
  readonly maxRetryAfterMs: number;
}

const maxErrorBytes = 64 * 1024;

export interface OpenedRealtime {
  readonly socket: WebSocket;
  /** With which it was opened. */
  readonly proof: Proof;
}

/** Opens a WebSocket to the target of an attempt, over a connection that the dialer has checked. @throws AttemptFailure, GatewayError */
export async function dialRealtime(
  deps: DialRealtimeDeps,
  attempt: Attempt,
  more: Readonly<Record<string, string>>,
): Promise<OpenedRealtime> {
  const { call, target, credential } = attempt;
  const { provider, model } = target;
  const { origin } = provider;
  const path = sessionPath(
    provider.speaks.get(call.protocol.name)?.path({ model, isStream: true }) ?? '',
    call,
  );
  const deadline = createDeadline({
    clock: deps.clock,
    ms: deps.handshakeTimeoutMs,
    reason: 'upstream_headers_timeout',
    parent: call.signal,
  });
  try {
    const headers = { ...provider.headers, ...more, traceparent: formatTraceparent(attempt.trace) };
    const { signal } = deadline;
    const outgoing = { method: 'GET', origin, path, headers, body: Buffer.alloc(0), signal } as const;
    const proof = await prove(credential, outgoing);
    const socket = await deps.dialer.connect(origin, { signal });
    // The socket is secured already where it has to be; to this library it is a plain one.
    const url = `ws://${origin.url.host}${joinPath(origin.url, path)}`;
    const upstream = new WebSocket(url, {
      createConnection: () => socket,
      headers: { ...headers, ...proof.headers, host: origin.url.host },
      maxPayload: deps.maxMessageBytes,
      perMessageDeflate: false,
      followRedirects: false,
    });
    await opened(upstream, { ...deps, signal, proof, provider: provider.name });
    return { socket: upstream, proof };
  } finally {
    deadline.close();
  }
}

/** A session that only writes down what is said has no model in its address. */
function sessionPath(path: string, { request }: Call): string {
  if (!isTranscription(request)) return path;
  const url = new URL(path, 'ws://session');
  url.searchParams.delete('model');
  url.searchParams.set('intent', transcriptionIntent);
  return `${url.pathname}${url.search}`;
}

interface Opening extends Pick<DialRealtimeDeps, 'clock' | 'maxRetryAfterMs'> {
  readonly signal: StopSignal;
  readonly provider: string;
  readonly proof: Proof;
}

function opened(upstream: WebSocket, opening: Opening): Promise<void> {
  const { signal, provider } = opening;
  return new Promise((resolve, reject) => {
    const leave = () => {
      upstream.terminate();
      reject(GatewayError.from(signal.reason));
    };
    const end = () => signal.removeEventListener('abort', leave);
    signal.addEventListener('abort', leave);
    upstream.once('open', () => {
      end();
      upstream.pause(); // what it says at once must not be lost
      resolve();
    });
    upstream.on('error', cause => {
      end();
      reject(
        new GatewayError('upstream_failed', `The provider '${provider}' did not open a session.`, {
          reason: 'upstream_reset',
          cause,
        }),
      );
    });
    upstream.once('unexpected-response', (_request, response: IncomingMessage) => {
      end();
      void refusal(response, opening).then(error => {
        reject(error);
        upstream.terminate();
      });
    });
  });
}

async function refusal(
  response: IncomingMessage,
  { provider, proof, clock, maxRetryAfterMs }: Opening,
): Promise<AttemptFailure | GatewayError> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response) {
      const buffer = chunk as Buffer; // no encoding was set
      bytes += buffer.length;
      if (bytes > maxErrorBytes) break;
      chunks.push(buffer);
    }
  } catch (cause) {
    return new GatewayError('upstream_failed', `The provider '${provider}' did not open a session.`, {
      reason: 'upstream_reset',
      cause,
    });
  }
  const body = Buffer.concat(chunks);
  const status = response.statusCode ?? 0;
  const failureClass = classify(status, readErrorCodes(parseObject(body) ?? {}));
  const retryAfterMs = readRetryAfter(response.headers, { nowMs: clock.now(), capMs: maxRetryAfterMs });
  const said = failureTable[failureClass].showUpstreamError
    ? readErrorMessage(proof.withheld.inBytes(body))
    : undefined;
  const error = refusalError(failureClass, { provider, status, retryAfterMs, said });
  return new AttemptFailure(failureClass, error, { status });
}
