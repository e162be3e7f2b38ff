import type { Readable } from 'node:stream';
import { SseScanner } from '@strata/shared/http/sse-scanner.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { isEventTooLarge, resultTooLarge } from '../result-size.ts';

/** How far a stream of a server was read, and what it takes to go on. */
export interface EventsRead {
  /** Empty where no event had one. */
  readonly lastEventId: string;
  readonly retryMs: number | undefined;
  readonly isBroken: boolean;
}

/** Reads a stream of messages until it ends, breaks or is done. @throws GatewayError too_large (`result_too_large`) */
export async function readEvents(
  body: Readable,
  options: {
    readonly server: string;
    readonly log: Logger;
    readonly maxMessageBytes: number;
    readonly onMessage: (bytes: Buffer) => void;
    /** Asked after each piece. */
    readonly isDone: () => boolean;
  },
): Promise<EventsRead> {
  const { maxMessageBytes, server, log, onMessage, isDone } = options;
  const scanner = new SseScanner({ maxLineBytes: maxMessageBytes, maxEventBytes: maxMessageBytes });
  let lastEventId = '';
  let retryMs: number | undefined;
  let isBroken = false;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      for (const frame of scanner.push(chunk)) {
        const data = frame.dataBytes();
        const { id, retryMs: retry } =
          data && data.length > 1024 ? { id: idOf(frame.bytes), retryMs: undefined } : frame.fields();
        lastEventId = id ?? lastEventId;
        retryMs = retry ?? retryMs;
        if (data && data.length > 0) onMessage(Buffer.from(data));
      }
      if (isDone()) break;
    }
  } catch (error) {
    if (isEventTooLarge(error)) throw resultTooLarge(server, maxMessageBytes);
    isBroken = true;
    log.debug({ server, err: error }, 'a stream of the server broke off');
  } finally {
    body.destroy();
  }
  return { lastEventId, retryMs, isBroken };
}

/** The id line of an event whose data is large: found without decoding the data. */
function idOf(event: Buffer): string | undefined {
  const at = event.subarray(0, 3).toString('latin1') === 'id:' ? 0 : event.indexOf('\nid:') + 1;
  if (at === 0 && event[0] !== 0x69) return undefined;
  const end = event.indexOf(0x0a, at);
  return event.toString('utf8', at + 3, end === -1 ? event.length : end).trim();
}
