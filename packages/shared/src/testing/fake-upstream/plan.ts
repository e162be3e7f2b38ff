import type { OutgoingSseEvent } from '../../http/sse.ts';

/** A piece of the timeline. `at` holds it back until that many milliseconds (of the clock given) after the plan began. */
export type Step = { readonly at?: number } & StepAction;

export type HeaderPairs = Readonly<Record<string, string>> | readonly (readonly [string, string])[];

export type StepAction =
  /** The status line to send; 200 without it. */
  | { readonly op: 'status'; readonly status: number; readonly reason?: string }
  /** Sends the head now. Without a length, an encoding or `connection: close` among the headers the body is chunked. */
  | { readonly op: 'headers'; readonly headers: HeaderPairs }
  /** Body bytes, framed as the head said, as one chunk. Sends the head first if nothing has. */
  | { readonly op: 'write'; readonly bytes: string | Uint8Array }
  /** One server-sent event, counted as such; a string is its data. */
  | { readonly op: 'event'; readonly event: string | OutgoingSseEvent }
  /** Body bytes in slices (1 byte each unless told), each a write of its own, `everyMs` apart (0: the next tick). */
  | {
      readonly op: 'drip';
      readonly bytes: string | Uint8Array;
      readonly sliceBytes?: number;
      readonly everyMs?: number;
    }
  /** The same body bytes again and again, for ever unless told, as fast as the reader takes them. */
  | {
      readonly op: 'repeat';
      readonly bytes: string | Uint8Array;
      readonly times?: number;
      readonly everyMs?: number;
    }
  /** Bytes as they are, past all framing: garbage, wrong lengths, half a head. */
  | { readonly op: 'raw'; readonly bytes: string | Uint8Array }
  /** Says nothing for `ms`, or until the client leaves. */
  | { readonly op: 'stall'; readonly ms?: number }
  /** Goes on when the test says so. */
  | { readonly op: 'waitFor'; readonly until: Promise<unknown> }
  /** Stops taking bytes from the client. A client that leaves is then noticed only by a write. */
  | { readonly op: 'stopReading' }
  | { readonly op: 'resumeReading' }
  /** Completes the body as its framing asks (a plan that runs out does so by itself). */
  | { readonly op: 'end'; readonly trailers?: Readonly<Record<string, string>> }
  /** FIN: no more bytes, whatever the framing promised. */
  | { readonly op: 'fin' }
  /** RST. */
  | { readonly op: 'rst' };

/** What is answered to one request. A plan that runs out completes the answer. */
export type Plan = readonly Step[];

/** What a plan can be chosen by. */
export interface RequestFacts {
  /** 1 for the first request this upstream got. */
  readonly index: number;
  readonly connectionId: number;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Lower-case names; repeated headers joined with `, `. */
  readonly headers: Readonly<Record<string, string>>;
  /** The request's body as far as it is here. */
  body(): Buffer;
  json(): unknown;
}

/** One plan for all requests, or a choice for each. */
export type PlanSource = Plan | ((request: RequestFacts) => Plan);

export function choosePlan(source: PlanSource, request: RequestFacts): Plan {
  return typeof source === 'function' ? source(request) : source;
}

/** The first request gets the first, and so on; the last one serves all that follow. */
export function inOrder(...sources: readonly [PlanSource, ...PlanSource[]]): PlanSource {
  let next = 0;
  return request => {
    const source = sources[Math.min(next++, sources.length - 1)] ?? sources[0];
    return choosePlan(source, request);
  };
}

/** Chooses by path without query; `*` serves the rest, else they get 404. */
export function byPath(sources: Readonly<Record<string, PlanSource>>): PlanSource {
  return request => {
    const source = sources[request.path.split('?')[0] ?? ''] ?? sources['*'];
    return source ? choosePlan(source, request) : notPlanned;
  };
}

/** The first whose predicate accepts the request, else 404. */
export function firstMatch(
  ...choices: readonly { readonly when: (request: RequestFacts) => boolean; readonly use: PlanSource }[]
): PlanSource {
  return request => {
    const choice = choices.find(({ when }) => when(request));
    return choice ? choosePlan(choice.use, request) : notPlanned;
  };
}

const notPlanned: Plan = [
  { op: 'status', status: 404 },
  { op: 'write', bytes: 'The fake upstream has no plan for this request' },
];
