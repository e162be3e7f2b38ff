import { SseScanner } from '@strata/shared/http/sse-scanner.ts';

/** Cuts frames that the gateway itself has let through or written: how large they may be was decided there. */
export function openOwnFrames(): SseScanner {
  return new SseScanner({
    maxLineBytes: Number.POSITIVE_INFINITY,
    maxEventBytes: Number.POSITIVE_INFINITY,
  });
}
