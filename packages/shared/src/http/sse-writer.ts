import type { Writable } from 'node:stream';
import { GatewayError } from '../errors/gateway-error.ts';
import { formatSse, formatSseComment, type OutgoingSseEvent } from './sse.ts';

/** Writes to a Node stream at the reader's pace. */
export interface SseWriter {
  /**
   * Hands bytes on unchanged. Resolves when the stream wants more, so a caller that awaits it holds at most one write.
   * Rejects with the signal's reason when it aborts, with the stream's error, or with `cancelled` (`stream_closed`) when
   * the reader left. A promise that nobody awaits is safe.
   */
  write(bytes: Uint8Array | string): Promise<void>;
  event(event: OutgoingSseEvent): Promise<void>;
  comment(text: string): Promise<void>;
  /** Ends the stream. Resolves when its bytes have been handed to the system; rejects as `write` does. */
  end(): Promise<void>;
}

/** Creates a writer over `stream`, which stays the caller's to destroy. Holds listeners only while a write waits. */
export function createSseWriter(
  stream: Writable,
  options: { readonly signal?: AbortSignal } = {},
): SseWriter {
  const { signal } = options;
  let drained: Promise<void> | undefined;

  /** One wait for all who write meanwhile, so their number does not show in listeners. */
  const waitForDrain = (): Promise<void> => {
    drained ??= waitFor(stream, 'drain', signal).finally(() => {
      drained = undefined;
    });
    return drained;
  };

  const write = (bytes: Uint8Array | string): Promise<void> => {
    const problem = whyNotWritable(stream, signal);
    if (problem) return rejected(problem.reason);
    if (stream.write(bytes)) return Promise.resolve();
    return quiet(waitForDrain());
  };

  return {
    write,
    event: event => write(formatSse(event)),
    comment: text => write(formatSseComment(text)),
    end: () => {
      if (stream.writableFinished) return Promise.resolve();
      const problem = whyNotWritable(stream, signal, { mayBeEnding: true });
      if (problem) return rejected(problem.reason);
      const finished = waitFor(stream, 'finish', signal);
      if (!stream.writableEnded) stream.end();
      return quiet(finished);
    },
  };
}

function whyNotWritable(
  stream: Writable,
  signal: AbortSignal | undefined,
  { mayBeEnding = false } = {},
): { readonly reason: unknown } | undefined {
  if (signal?.aborted) return { reason: signal.reason };
  if (stream.errored) return { reason: stream.errored };
  if (stream.destroyed || (stream.writableEnded && !mayBeEnding)) return { reason: streamClosed() };
  return undefined;
}

function waitFor(
  stream: Writable,
  event: 'drain' | 'finish',
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      stream.off(event, onEvent).off('close', onClose).off('error', onError);
      signal?.removeEventListener('abort', onAbort);
      act();
    };
    const onEvent = () => settle(resolve);
    const onClose = () => settle(() => reject(streamClosed()));
    const onError = (error: Error) => settle(() => reject(error));
    const onAbort = () => settle(() => reject(signal?.reason));
    stream.on(event, onEvent).on('close', onClose).on('error', onError);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function streamClosed(): GatewayError {
  return new GatewayError('cancelled', 'The reader of the stream left', { reason: 'stream_closed' });
}

function rejected(reason: unknown): Promise<void> {
  return quiet(Promise.reject(reason));
}

/** A heartbeat that nobody awaits must not become an unhandled rejection. */
function quiet(promise: Promise<void>): Promise<void> {
  promise.catch(() => {});
  return promise;
}
