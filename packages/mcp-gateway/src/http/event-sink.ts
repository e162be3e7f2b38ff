import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { type EventStream, openDirectEventStream } from '@strata/shared/http/event-stream.ts';
import type { EventLog, EventSink } from '../domain/event-log.ts';

/**
 * Answers a request with a log's events, from after `afterSeq`. The connection belongs to the log from here on; when it
 * breaks the log goes on without it. @throws GatewayError before anything is sent, when those events are gone
 */
export async function streamLog(
  request: DirectRequest,
  log: EventLog,
  options: {
    readonly afterSeq: number;
    readonly isResumed: boolean;
    /** Whether the log ends when its calls do; the session's own does not. */
    readonly endsByItself: boolean;
    readonly headers: Readonly<Record<string, string>>;
  },
): Promise<void> {
  let stream: EventStream | undefined;
  let isEnded = false;
  const open = () => {
    if (stream) return stream;
    stream = openDirectEventStream(request, options.headers);
    if (stream.signal.aborted) queueMicrotask(leave);
    else stream.signal.addEventListener('abort', leave, { once: true });
    return stream;
  };
  const sink: EventSink = {
    write: async text => {
      const opened = open();
      // The writer is closed already, and the last words still have to go out.
      if (isEndedHere(opened.signal.reason)) request.response.write(text);
      else await opened.write(text);
    },
    end: () => {
      if (isEnded) return;
      isEnded = true;
      const opened = open();
      if (isEndedHere(opened.signal.reason)) request.response.end();
      else opened.end().catch(() => {}); // the client is gone already, which is what the end is for
    },
  };
  function leave() {
    if (isEndedHere(stream?.signal.reason) && options.endsByItself) return; // its calls end now, and with them the log
    log.leave(sink);
    sink.end();
  }
  await log.attach(sink, options.afterSeq, options.isResumed);
  open();
}

/** Whether it is the gateway that ends a request, whose client still listens: it drains, or the key or the run was stopped. */
export function isEndedHere(reason: unknown): reason is GatewayError {
  return reason instanceof GatewayError && reason.reason !== 'client_gone';
}
