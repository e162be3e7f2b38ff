import { type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { sseHeaders } from '@strata/shared/http/sse.ts';
import type { AnswerStream, StreamSink } from '../domain/call.ts';

const heartbeatEveryMs = 15_000;

export const sseType = 'text/event-stream';

/** The form in which a stream's frames go to the client. */
export interface StreamShape {
  readonly headers: OutgoingHttpHeaders;
  /** What may stand between any two writes and says nothing; undefined where nothing may. */
  readonly heartbeat: string | undefined;
  write(bytes: Buffer | string): Buffer | string;
  /** After the last frame. */
  end(): string;
}

/** The frames as they are. */
export function ownShape(type: string): StreamShape {
  const isSse = type === sseType;
  return {
    headers: isSse ? sseHeaders : { 'content-type': type, 'cache-control': 'no-cache' },
    heartbeat: isSse ? ': keep-alive\n\n' : undefined,
    write: bytes => bytes,
    end: () => '',
  };
}

/**
 * Takes the response over and lets the stream flow into it: the head and the first events leave in one segment, then each
 * chunk as it comes. Only whole frames are written, so a comment may come between any two writes: one is sent when nothing
 * else was for a while, so that proxies keep the connection and a half-open client is noticed.
 */
export function sendStream(
  response: ServerResponse,
  headers: OutgoingHttpHeaders,
  stream: AnswerStream,
  { clock, shape }: { clock: Clock; shape: StreamShape },
): void {
  response.writeHead(200, { ...headers, ...shape.headers });
  const heartbeat = startHeartbeat(clock, () => {
    if (shape.heartbeat !== undefined && !response.destroyed && !response.writableEnded)
      response.write(shape.heartbeat);
  });
  response.once('close', heartbeat.stop);
  const sink: StreamSink = {
    write(bytes) {
      if (response.destroyed) return true; // the client is gone, which the signal tells; there is nothing to wait for
      heartbeat.beat();
      return response.write(shape.write(bytes));
    },
    onDrain: listener => response.once('drain', listener),
    end: () => response.end(shape.end()),
    destroy: () => drop(response),
  };
  stream.flow(sink);
}

/** What the client did not read is thrown away at once, where the kernel would keep it for minutes after a proper close. */
function drop(raw: ServerResponse): void {
  if (raw instanceof ServerResponse) raw.socket?.resetAndDestroy();
  raw.destroy();
}

function startHeartbeat(clock: Clock, send: () => void): { beat(): void; stop(): void } {
  let isQuiet = true;
  let timer: Scheduled;
  const tick = () => {
    if (isQuiet) send();
    isQuiet = true;
    timer = clock.schedule(heartbeatEveryMs, tick);
  };
  timer = clock.schedule(heartbeatEveryMs, tick);
  return {
    beat() {
      isQuiet = false;
    },
    stop: () => timer.cancel(),
  };
}
