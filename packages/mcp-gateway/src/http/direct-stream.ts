import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { openDirectEventStream } from '@strata/shared/http/event-stream.ts';
import { formatSse } from '@strata/shared/http/sse.ts';
import type { MessageStream } from '../domain/exchange.ts';
import { isEndedHere } from './event-sink.ts';

/** Messages that may wait for a slow reader before those that may be lost are, and before the reader is given up. */
const maxWaiting = { lossy: 1000, all: 20_000 };

/** Answers a request with events that cannot be resumed: the stream is the response, and ends with it (2026-07-28). */
export function openDirectStream(request: DirectRequest, onDropped: () => void): MessageStream {
  const { response } = request;
  const stream = openDirectEventStream(request);
  let waiting = 0;
  return {
    append(message, mayBeLost = false) {
      if (mayBeLost && waiting >= maxWaiting.lossy) {
        onDropped();
        return;
      }
      if (waiting >= maxWaiting.all) {
        response.destroy();
        return;
      }
      const event = { event: 'message', data: message };
      if (isEndedHere(stream.signal.reason)) {
        response.write(formatSse(event)); // the writer is closed already, and the last words still have to go out
        return;
      }
      waiting++;
      stream
        .event(event)
        .catch(() => {}) // the client is gone; whoever waits for it hears that from the request
        .finally(() => waiting--);
    },
    finish() {
      if (isEndedHere(stream.signal.reason)) response.end();
      else stream.end().catch(() => {}); // as above
    },
  };
}
