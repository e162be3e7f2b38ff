import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { SseLimits } from '@strata/shared/http/sse-scanner.ts';
import type { JsonObject } from './json-object.ts';
import type { Losses } from './losses.ts';
import type { NeutralAnswer, NeutralEvent } from './neutral-event.ts';
import type { NeutralRequest } from './neutral-request.ts';
import type { SealOrigin } from './seal.ts';

/** Where a request goes, as far as writing it depends on that. */
export interface EncodeTarget extends SealOrigin {
  /** Whether a stream may be asked to report its usage. */
  readonly mayAskStreamUsage: boolean;
  /** The longest answer that the model can give, as far as it is known. */
  readonly maxOutputTokens?: number | undefined;
}

/** What an encoder of answers knows beside the events. */
export interface AnswerContext {
  /** Id of the gateway's request; ids that the protocol needs are made from it. */
  readonly requestId: string;
  /** The alias that the client asked for; the model of the answer when the upstream names none. */
  readonly alias: string;
  /** Wall clock milliseconds. */
  readonly nowMs: number;
  /** Who answers: tags the seals. */
  readonly origin: SealOrigin;
  readonly request: NeutralRequest;
  /** Whether the client asked for the usage inside the stream. */
  readonly wantsStreamUsage: boolean;
}

/**
 * Reads one upstream's stream, however its bytes are cut. Never throws on unknown events, fields or enum values. `usage` comes
 * before `finish`, and `finish` is the last event of all: it is what makes the answer complete.
 */
export interface StreamDecoder {
  /** @throws GatewayError upstream_failed when the bytes are no stream of this protocol (F30, F31). */
  push(chunk: Buffer): readonly NeutralEvent[];
  /** The upstream ended its body. What the protocol leaves for then; without a `finish` the stream counts as cut. */
  end(): readonly NeutralEvent[];
}

/** Writes one client's stream. It is given events in the guard's order only: blocks one after another, a finish, then `end`. */
export interface StreamEncoder {
  encode(event: NeutralEvent): string | Buffer;
  /** After the finish: usage and the protocol's own terminal event. */
  end(): string | Buffer;
  /** In place of finish and end: the protocol's own error event. Open blocks were closed before. */
  fail(error: GatewayError): string | Buffer;
}

/** What a protocol, or a provider that speaks it, has no word for and gets said in another way. */
export type Lack = 'custom-tools' | 'json-object' | 'json-schema';

/**
 * One protocol in both directions, to and from the neutral model. Pure: no I/O, no clock, no randomness. Of what it writes, members that are
 * undefined are absent: JSON leaves them out.
 */
export interface Codec {
  /** Of streams, both ways. */
  readonly streamType: string;
  readonly lacks: readonly Lack[];
  /** @throws GatewayError invalid_request. Unknown members go to `unknown`. */
  decodeRequest(body: JsonObject, hints: { model: string; isStream: boolean }): NeutralRequest;
  /** The body for an upstream. Everything that is not sent as it was meant is told to `losses`. */
  encodeRequest(request: NeutralRequest, target: EncodeTarget, losses: Losses): JsonObject;
  /** `limits`: of its events, where they may be larger than text is. */
  openDecoder(request: NeutralRequest, limits?: SseLimits): StreamDecoder;
  /** A whole answer as events, `error` among them (F40). */
  decodeAnswer(body: JsonObject, request: NeutralRequest): readonly NeutralEvent[];
  openEncoder(context: AnswerContext): StreamEncoder;
  encodeAnswer(answer: NeutralAnswer, context: AnswerContext): JsonObject;
}
