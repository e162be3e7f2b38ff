import type { SseLimits } from '@strata/shared/http/sse-scanner.ts';
import type { Attempt, Call } from '../domain/call.ts';
import type { AnswerContext, Codec, Lack } from '../domain/codec.ts';
import { foldAnswer } from '../domain/fold-answer.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { Losses } from '../domain/losses.ts';
import type { NeutralRequest } from '../domain/neutral-request.ts';
import type { ModelRequest, Protocol } from '../domain/protocol.ts';
import type { ProtocolAccess } from '../domain/provider.ts';
import { applyQuirks } from '../domain/quirks.ts';
import type { SealOrigin } from '../domain/seal.ts';
import { parseObject } from '../protocols/read-json.ts';
import { adaptRequest, isAdapted } from './adapt-request.ts';
import { eventLimits } from './event-limits.ts';
import { type EventAdapter, FactsReader, orderEvents } from './neutral-answers.ts';
import { TranslatedPassage } from './translated-passage.ts';
import type { Way, WholeRead } from './way.ts';

interface Translation {
  readonly from: Codec;
  readonly to: Codec;
  readonly request: NeutralRequest;
  /** Undoes in the answer what was done to the request. */
  readonly adapter: EventAdapter;
  readonly context: AnswerContext;
}

/** A target in another protocol than the client's: both codecs, with the neutral model between them. */
export function translatedWay(
  attempt: Attempt,
  upstream: { protocol: Protocol; access: ProtocolAccess; nowMs: number },
): Way {
  const { call, target } = attempt;
  const { protocol, access } = upstream;
  const from = codecOf(call.protocol);
  const to = codecOf(protocol);
  const origin: SealOrigin = { provider: target.provider.name, model: target.model };
  const asked = neutralRequest(call, from);
  const { request, adapter } = adaptRequest(asked, [...to.lacks, ...(access.lacks ?? [])]);
  const losses = new Losses();
  const written = to.encodeRequest(
    request,
    {
      ...origin,
      mayAskStreamUsage: access.mayAskStreamUsage,
      maxOutputTokens: target.prices?.limits?.maxOutputTokens,
    },
    losses,
  );
  const body = applyQuirks(written, access.quirks, losses);
  const context: AnswerContext = {
    requestId: call.requestId,
    alias: call.route.alias,
    nowMs: upstream.nowMs,
    origin,
    request: asked,
    wantsStreamUsage: call.request.wantsStreamUsage,
  };
  const translation: Translation = { from, to, request, adapter, context };
  return {
    protocol,
    access,
    body: Buffer.from(JSON.stringify(body)),
    losses: losses.all,
    isRaw: false,
    openPassage: beforeTerminal =>
      openPassage(translation, { beforeTerminal, limits: eventLimits(call.request, protocol) }),
    readWhole: bytes => readWhole(translation, bytes),
  };
}

/** Whether a request holds something that a provider of its own protocol has no mode for. */
export function needsAdapting(call: Call, lacks: readonly Lack[] = []): boolean {
  if (!lacks.some(lack => lackMarks[lack].some(mark => call.request.body.includes(mark)))) return false;
  return isAdapted(neutralRequest(call, codecOf(call.protocol)), lacks);
}

/** Without one of these in its bytes a request has no need of what is lacking. */
const lackMarks: Readonly<Record<Lack, readonly string[]>> = {
  'json-schema': ['json_schema', 'Schema', 'schema'],
  'json-object': ['json'],
  'custom-tools': ['"custom"'],
};

function codecOf(protocol: Protocol): Codec {
  if (protocol.codec !== undefined) return protocol.codec;
  throw new Error(`${protocol.name} has no codec`); // targets without one are never chosen
}

/** By the request itself, which copies of a call share: it is read once, when that is first needed, however many targets are tried. */
const neutralRequests = new WeakMap<ModelRequest, NeutralRequest>();

function neutralRequest({ request }: Call, codec: Codec): NeutralRequest {
  const known = neutralRequests.get(request);
  if (known !== undefined) return known;
  const { model, isStream, body } = request;
  const read = codec.decodeRequest(parseObject(body) ?? {}, { model, isStream });
  neutralRequests.set(request, read);
  return read;
}

function openPassage(
  { from, to, request, adapter, context }: Translation,
  {
    beforeTerminal,
    limits,
  }: { beforeTerminal?: (() => string | undefined) | undefined; limits?: SseLimits | undefined },
): TranslatedPassage {
  return new TranslatedPassage({
    decoder: to.openDecoder(request, limits),
    encoder: from.openEncoder(context),
    adapter,
    origin: context.origin,
    ...(beforeTerminal && { beforeTerminal }),
  });
}

function readWhole(translation: Translation, bytes: Buffer): WholeRead {
  const { from, to, request, adapter, context } = translation;
  const body = parseObject(bytes);
  if (body === undefined) return { type: 'malformed' };
  const events = to.decodeAnswer(body, request);
  const error = events.find(event => event.type === 'error');
  if (error !== undefined) return { type: 'error', codes: error.codes };
  if (request.isStream) return streamOf(translation, body);
  const reader = new FactsReader();
  const ordered = orderEvents(events, { adapter, origin: context.origin });
  for (const event of ordered) reader.read(event);
  const { facts } = reader;
  if (facts.finishReason === undefined) return { type: 'malformed' };
  const answer = from.encodeAnswer(foldAnswer(ordered), context);
  return {
    type: 'answer',
    body: Buffer.from(JSON.stringify(answer)),
    facts,
    isStream: false,
  };
}

/** An upstream that answered whole although a stream was asked for: the client gets its stream all the same. */
function streamOf(translation: Translation, body: JsonObject): WholeRead {
  const passage = openPassage(translation, {});
  const passed = passage.translate(translation.to.decodeAnswer(body, translation.request));
  if (passed.end === undefined) return { type: 'malformed' };
  return { type: 'answer', body: Buffer.concat(passed.bytes), facts: passage.facts, isStream: true };
}
