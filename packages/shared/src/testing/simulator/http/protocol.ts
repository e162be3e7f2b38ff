import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../../../clock.ts';
import type { Fault } from '../faults.ts';
import type { Answer, Usage } from '../model/compose-answer.ts';
import type { Conversation } from '../model/conversation.ts';
import type { IdSource } from '../model/ids.ts';

/** The names under which meters, rules and records know the protocols. */
export type ProtocolName = 'openai' | 'anthropic' | 'gemini' | 'bedrock' | 'cohere';

/** One vendor's API: where it is, how it authenticates, what its errors look like, and what it can do. */
export interface Protocol {
  readonly name: ProtocolName;
  /** `/openai`: all paths below are this API's. */
  readonly base: string;
  readonly operations: readonly Operation[];
  /** @throws ApiError 401 or 403. */
  authenticate(request: ApiRequest, accepted: ReadonlySet<string> | undefined): void;
  renderError(error: ApiError, desk: Desk): WholeReply;
  /** The error for a path that is none of its operations. */
  unknownPath(request: ApiRequest): ApiError;
}

export interface Operation {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Matched against the path below the base, without query, still percent-encoded. */
  readonly pattern: RegExp;
  /** @throws ApiError for what the real API would refuse. */
  handle(request: ApiRequest, desk: Desk): Reply;
}

export interface ApiRequest {
  readonly method: string;
  /** Below the base, without query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** What the operation's pattern captured. */
  readonly captured: readonly string[];
}

/** What the simulator does for an operation. */
export interface Desk {
  readonly ids: IdSource;
  readonly clock: Clock;
  /** The model of this name, or `undefined` for one that this API does not have. */
  model(name: string): ModelEntry | undefined;
  listModels(): readonly ModelEntry[];
  compose(conversation: Conversation): Composed;
  /** Answers that can be asked for again, by id, for as long as the simulator keeps them. */
  readonly stored: Map<string, unknown>;
}

export interface ModelEntry {
  readonly id: string;
  /** `shown`: reasoning text is part of the answer where the protocol has a place for it. `hidden`: it is only counted. */
  readonly reasoning: 'none' | 'hidden' | 'shown';
  readonly kind: 'chat' | 'embedding';
  readonly maxOutputTokens: number;
}

export interface Composed extends Answer {
  readonly hidesUsage: boolean;
  /** What the prompt asked for. */
  readonly fault: Fault | undefined;
}

/** What an answer costs when it is taken whole. */
export interface Billing {
  readonly model: string;
  readonly usage: Usage;
}

interface ReplyBase {
  readonly headers: Readonly<Record<string, string>>;
  readonly billing?: Billing | undefined;
  readonly fault?: Fault | undefined;
}

export interface WholeReply extends ReplyBase {
  readonly type: 'whole';
  readonly status: number;
  readonly body: string;
}

export interface StreamReply extends ReplyBase {
  readonly type: 'stream';
  readonly frames: Iterable<Frame>;
  /** The protocol's own way to say in a stream that it failed. */
  errorFrame(error: ApiError): string | Uint8Array;
  /** An event that no reader can parse. */
  readonly malformedFrame: string | Uint8Array;
}

export type Reply = WholeReply | StreamReply;

/** One event of a stream, as it goes over the wire, and how many output tokens it brings. */
export interface Frame {
  readonly bytes: string | Uint8Array;
  readonly tokens: number;
}

/** What a vendor's API refuses, before it is put into that vendor's words. */
export class ApiError extends Error {
  readonly status: number;
  readonly param: string | undefined;
  readonly code: string | undefined;
  readonly retryAfter: string | undefined;

  constructor(
    status: number,
    message: string,
    options: {
      readonly param?: string | undefined;
      readonly code?: string | undefined;
      readonly retryAfter?: string | undefined;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.param = options.param;
    this.code = options.code;
    this.retryAfter = options.retryAfter;
  }
}

export function jsonReply(
  value: unknown,
  headers: Readonly<Record<string, string>>,
  more: { readonly status?: number; readonly billing?: Billing; readonly fault?: Fault | undefined } = {},
): WholeReply {
  return {
    type: 'whole',
    status: more.status ?? 200,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(value),
    billing: more.billing,
    fault: more.fault,
  };
}

/** One server-sent event as a frame. */
export function sseFrame(
  data: string,
  options: { readonly event?: string; readonly tokens?: number } = {},
): Frame {
  const head = options.event === undefined ? '' : `event: ${options.event}\n`;
  return { bytes: `${head}data: ${data}\n\n`, tokens: options.tokens ?? 0 };
}

export const eventStreamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
} as const;

/** A header's one value. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** @throws ApiError 401 unless `key` is a key, and one of the accepted ones where they are named. */
export function checkKey(
  key: string | undefined,
  accepted: ReadonlySet<string> | undefined,
  refusals: { readonly missing: () => ApiError; readonly wrong: (key: string) => ApiError },
): void {
  if (key === undefined || key === '') throw refusals.missing();
  if (accepted && !accepted.has(key)) throw refusals.wrong(key);
}
