import { openEventStream } from '@strata/shared/http/event-stream.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { EventLog, EventSink } from '../domain/event-log.ts';

/**
 * Answers a request with a log's events, from after `afterSeq`. The connection belongs to the log from here on; when it
 * breaks the log goes on without it. @throws GatewayError before anything is sent, when those events are gone
 */
export async function streamLog(
  request: FastifyRequest,
  reply: FastifyReply,
  log: EventLog,
  options: {
    readonly afterSeq: number;
    readonly isResumed: boolean;
    readonly headers: Readonly<Record<string, string>>;
  },
): Promise<void> {
  let stream: ReturnType<typeof openEventStream> | undefined;
  let isEnded = false;
  const open = () => {
    if (stream) return stream;
    stream = openEventStream(request, reply, { headers: options.headers });
    if (stream.signal.aborted) queueMicrotask(leave);
    else stream.signal.addEventListener('abort', leave, { once: true });
    return stream;
  };
  const sink: EventSink = {
    write: text => open().write(text),
    end: () => {
      if (isEnded) return;
      isEnded = true;
      open()
        .end()
        .catch(() => {}); // the client is gone already, which is what the end is for
    },
  };
  function leave() {
    log.leave(sink);
    sink.end();
  }
  await log.attach(sink, options.afterSeq, options.isResumed);
  open();
}
