import type { CloudEvent } from './run-events.ts';

/** Bytes in UTF-8: events are found by these. */
const most = { id: 255, source: 2048, type: 255 } as const;

/**
 * Why one of the texts that an event is found by is none: CloudEvents 1.0.2, "Type System", has no control characters in them, and neither
 * has every store.
 */
export function eventTextProblem(name: keyof typeof most, text: string): string | undefined {
  if (text === '' || Buffer.byteLength(text) > most[name])
    return `\`${name}\` of an event has 1 to ${most[name]} bytes`;
  return /\p{Cc}/u.test(text) ? `\`${name}\` of an event has no control characters` : undefined;
}

export function eventProblem(event: Pick<CloudEvent, keyof typeof most>): string | undefined {
  for (const name of ['id', 'source', 'type'] as const) {
    const problem = eventTextProblem(name, event[name]);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
