import type { ErrorContext, ErrorRenderer } from '@strata/shared/errors/error-renderer.ts';
import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { AwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import type { SseFrame } from '@strata/shared/http/sse-frame.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { Codec } from './codec.ts';
import type { Form, StreamedBody } from './form.ts';
import type { ScannedObject } from './json-scan.ts';
import type { TokenCounting } from './token-count.ts';

/** A client's request: its bytes, where its outermost members lie, and the few facts the gateway acts on. */
export interface ModelRequest {
  readonly body: Buffer;
  readonly scanned: ScannedObject;
  /** The alias the client asked for. */
  readonly model: string;
  readonly isStream: boolean;
  /** Whether the client itself asked for the usage inside the stream. */
  readonly wantsStreamUsage: boolean;
  /** What it asks for is made of no tokens: vectors, ranks, verdicts. */
  readonly writesNoTokens?: boolean;
  /** The tier of service that it asks for, under the name that its protocol has for it. */
  readonly serviceTier?: string | undefined;
  /** Where the body is a form and no JSON; `body` is then all but its files. */
  readonly form?: Form;
}

/** Of one event that holds a picture or sound. Of text it is what `SseScanner` takes by default. */
export const maxMediaEventBytes = 64 * 1024 * 1024;

/** What changes on the way to one target. Everything else stays as the client wrote it (AI-2). */
export interface RequestChange {
  /** The provider's name of the model. */
  readonly model: string;
  /** Whether the target may be asked to report the usage of a stream. */
  readonly mayAskStreamUsage: boolean;
  /** The client's header `anthropic-beta`, for hosts that take it in the body. */
  readonly anthropicBeta?: string | undefined;
}

/** What an answer tells about itself. */
export interface AnswerFacts {
  readonly model: string | undefined;
  readonly finishReason: string | undefined;
  readonly report: UsageReport | undefined;
  /** Of what was told of usage some count was impossible, and nothing else was left of it. */
  readonly isUsageAnomalous?: boolean;
  /** As the vendor names the tier of service that it gave: `flex`, `priority`. */
  readonly serviceTier?: string | undefined;
  /** It says that it failed and nothing else, where that ends no attempt. */
  readonly saysOnlyError?: boolean;
}

/** Of an upstream's answer, by their names in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

export type WholeAnswer =
  | { readonly type: 'answer'; readonly facts: AnswerFacts }
  /** An error that came with a good status (F40). */
  | { readonly type: 'error'; readonly codes: readonly string[] }
  | { readonly type: 'malformed' };

/**
 * What one frame of a stream is to the gateway.
 * - `preamble`: says nothing yet that a client could not do without (role, ping, comment); does not commit the answer.
 * - `content`: text, reasoning, a tool call, a finish.
 * - `hidden`: was asked for by the gateway alone and is kept from the client.
 * - `terminal`: the protocol's own end of a stream.
 * - `error`: the protocol's own error event.
 */
export type FrameRole = 'preamble' | 'content' | 'hidden' | 'terminal' | 'error';

/** Reads along while the frames of one stream pass by. */
export interface StreamReader {
  read(frame: SseFrame): FrameRole;
  readonly facts: AnswerFacts;
  /** The codes of the error event that was read, most specific first. */
  readonly errorCodes: readonly string[];
  /** When the upstream ended well without its terminal event but had finished: the event it forgot. */
  missingTerminal(): string | undefined;
  /** Where the event that ends a stream in an error depends on what came before it. */
  errorEvent?(error: GatewayError): string;
}

/** The same for binary event streams. */
export interface AwsStreamReader extends Omit<StreamReader, 'read'> {
  readonly frames: 'aws-event-stream';
  read(event: AwsEvent): FrameRole;
}

/** What the path says of a request whose body does not. */
export interface PathRequest {
  readonly model: string;
  readonly isStream: boolean;
}

/** One wire protocol: what passing it through needs, and its codec for everything else. */
export interface Protocol {
  /** `openai-chat`, `anthropic-messages`: what a provider lists when it speaks it. */
  readonly name: string;
  /** GenAI semantic conventions `gen_ai.operation.name`. */
  readonly operation: string;
  /** Request headers of the client that mean something to the provider. Lower case. */
  readonly requestHeaders: readonly string[];
  /** The response header in which the protocol's SDKs look for the id of the request. Lower case. */
  readonly requestIdHeader: string;
  /** Headers of an error answer that its SDKs read beside the body. Lower case. */
  readonly errorHeaders?: readonly string[];
  /** The same of a whole answer. */
  readonly answerHeaders?: readonly string[];
  /** Its errors are its own, while its answers are those of another protocol, so an upstream's refusal is said in its words too. */
  readonly hasOwnErrors?: boolean;
  /** It reaches all that a provider has: what is not there, or stands against another, is what the caller asked for, and no model. */
  readonly reachesAll?: boolean;
  /** Of one event of a stream, where models of the protocol make pictures or sound without being asked for them in so many words. */
  readonly maxEventBytes?: number;
  /** The media type of its streams, where it has no codec. Server-sent events by default. */
  readonly streamType?: string;
  readonly renderError: ErrorRenderer;
  /** The event that ends a stream with an error. */
  renderStreamError(error: GatewayError, context: ErrorContext): string | Buffer;
  /** @throws GatewayError invalid_request when the body is not a request of this protocol. */
  readRequest(body: Buffer, path?: PathRequest, contentType?: string): ModelRequest;
  writeRequest(request: ModelRequest, change: RequestChange): Buffer;
  /** Of a request that is a form: all of it, with its files. */
  writeForm?(form: Form, change: RequestChange): StreamedBody;
  readAnswer(body: Buffer, headers: AnswerHeaders): WholeAnswer;
  /** Machine-readable codes of an error answer, most specific first. Header names are lower case. */
  readErrorCodes(body: Buffer, headers: AnswerHeaders): readonly string[];
  /** How long an error's body asks to wait, where the protocol says that in its body. */
  readRetryAfterMs?(body: Buffer): number | undefined;
  openReader(request: ModelRequest): StreamReader | AwsStreamReader;
  /** To and from the neutral model. Absent: it can only be passed through. */
  readonly codec?: Codec;
  /** Name of the protocol of which this is the form of a host: answers are in it, byte for byte, and requests but for a few members. */
  readonly hosts?: string;
  /** Cuts the frames of a stream out of what the host puts around them. Absent: they stand by themselves. */
  openUnwrapper?(): { push(chunk: Buffer): Buffer; end(): void };
  /** Absent: it has no way to count a prompt. */
  readonly counting?: TokenCounting;
}

/** The media type of its streams. */
export function streamTypeOf(protocol: Protocol): string {
  return protocol.streamType ?? protocol.codec?.streamType ?? 'text/event-stream';
}
