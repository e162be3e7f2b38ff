import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { awsEventStreamType } from '@strata/shared/http/aws-event-stream.ts';
import type { Dialer, DialResponse } from '@strata/shared/http/dialer.ts';
import { nothingWithheld, type Withheld } from '@strata/shared/http/withhold-credentials.ts';
import { costOf } from '@strata/shared/money/price.ts';
import { createDeadline, type Deadline } from '@strata/shared/resilience/deadline.ts';
import type { Answer, AnswerStream, Attempt, StreamEnd } from '../domain/call.ts';
import { classifyAnswer } from '../domain/classify.ts';
import { AttemptFailure, failureTable } from '../domain/failure.ts';
import { givenServiceTier } from '../domain/given-service-tier.ts';
import { lossesRefused } from '../domain/losses.ts';
import { type AnswerFacts, type Protocol, streamTypeOf } from '../domain/protocol.ts';
import { refusalError, reportedError } from '../domain/refusal-error.ts';
import { readRetryAfter } from '../domain/retry-after.ts';
import { toldFacts } from '../domain/told-facts.ts';
import { parseObject, readErrorMessage } from '../protocols/read-json.ts';
import { chooseWay, type Protocols } from './choose-way.ts';
import { type Outgoing, outgoingOf } from './outgoing.ts';
import type { Passage } from './passage.ts';
import { type Proof, prove, withheldInWhole } from './prove.ts';
import { sentBody } from './sent-body.ts';
import { type HoldLimits, UpstreamStream } from './upstream-stream.ts';
import type { Way } from './way.ts';

export interface UpstreamLimits {
  readonly hold: HoldLimits;
  readonly maxAnswerBytes: number;
  readonly maxRetryAfterMs: number;
  readonly clientStallMs: number;
  /** From the end of the request to the head of the answer. */
  readonly headersTimeoutMs: number;
  /** From dialing to the first meaningful event of a stream, or to the head of a whole answer. */
  readonly firstTokenTimeoutMs: number;
  /** Longest silence inside an answer. */
  readonly idleTimeoutMs: number;
  /** What happens to a request that a target could not take as it is meant. */
  readonly onUnsupported: 'report' | 'error';
}

export interface CallUpstreamDeps {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly protocols: Protocols;
  /** Read once an attempt. */
  limits(): UpstreamLimits;
}

const maxErrorBytes = 1024 * 1024;

/** Makes one attempt: sends the request to its target and judges the answer. @throws AttemptFailure */
export function createCallUpstream(deps: CallUpstreamDeps): (attempt: Attempt) => Promise<Answer> {
  return async attempt => {
    const limits = deps.limits();
    const way = findWay(deps, attempt, limits);
    attempt.losses = way.losses;
    const askedAtMs = deps.clock.monotonic();
    const deadline = createDeadline({
      clock: deps.clock,
      ms: limits.firstTokenTimeoutMs,
      reason: 'upstream_first_token_timeout',
      parent: attempt.call.signal,
    });
    try {
      const outgoing = outgoingOf(attempt, way);
      const proved = prove(attempt.credential, outgoing);
      const proof = proved instanceof Promise ? await proven(proved) : proved;
      const response = await dial(deps.dialer, { way, limits, deadline, outgoing, proof });
      const judged = judge(deps, { attempt, way, limits, deadline, proof, response });
      return judged instanceof Promise ? await judged : judged;
    } catch (error) {
      deadline.close();
      throw AttemptFailure.from(error);
    } finally {
      attempt.call.upstreamMs += deps.clock.monotonic() - askedAtMs;
    }
  };
}

interface Dialing {
  readonly way: Way;
  readonly limits: UpstreamLimits;
  /** Of the first token. A stream takes it over. */
  readonly deadline: Deadline;
  /** With which it asks. */
  readonly proof: Proof;
}

interface Dialed extends Dialing {
  readonly attempt: Attempt;
  readonly response: DialResponse;
}

/** At once where the whole answer is here, as it mostly is with its head. */
function judge(deps: CallUpstreamDeps, dialed: Dialed): Promise<Answer> | Answer {
  const { attempt, response, way, deadline } = dialed;
  if (response.status < 200 || response.status > 299) return refuse(deps, dialed);
  attempt.hasBegun = true;
  if (isEventStream(response, way.protocol)) {
    if (attempt.call.request.isStream || way.protocol.codec === undefined) return openStream(deps, dialed);
    response.body.destroy();
    return Promise.reject(malformed(attempt)); // who asked for one answer cannot read a stream
  }
  deadline.lift();
  return readWhole(dialed);
}

/** A request that cannot be written for this target as it was meant may still be one for the next. */
function findWay(deps: CallUpstreamDeps, attempt: Attempt, limits: UpstreamLimits): Way {
  const way = chooseWay(attempt, deps.protocols, deps.clock.now());
  if (limits.onUnsupported === 'report' || way.losses.length === 0) return way;
  throw new AttemptFailure('model-gone', lossesRefused(way.losses, attempt.target.id), { wasAsked: false });
}

const noBody = { body: null, bodyBytes: undefined };

function dial(
  dialer: Dialer,
  { way, limits, deadline, outgoing, proof }: Dialing & { readonly outgoing: Outgoing },
): Promise<DialResponse> {
  const { method, origin, path, headers } = outgoing;
  const { body, bodyBytes } = method === 'POST' ? sentBody(way.upload ?? way.body) : noBody;
  return dialer.request(origin, {
    method,
    path,
    headers: Object.assign(headers, proof.headers),
    body,
    bodyBytes,
    signal: deadline.signal,
    timeouts: { headersMs: limits.headersTimeoutMs, bodyMs: limits.idleTimeoutMs },
  });
}

function isEventStream(response: DialResponse, protocol: Protocol): boolean {
  const type = response.headers['content-type'];
  if (typeof type !== 'string') return false;
  const wanted = streamTypeOf(protocol);
  return type.startsWith(wanted) || type.toLowerCase().startsWith(wanted);
}

async function refuse(
  deps: CallUpstreamDeps,
  { attempt, way, response, proof, limits }: Dialed,
): Promise<Answer> {
  const { status, headers } = response;
  const { withheld } = proof;
  const told = await response.readAll(maxErrorBytes);
  const body = withheld.inBytes(told);
  const codes = way.protocol.readErrorCodes(told, headers);
  const failureClass =
    way.protocol.reachesAll && isAboutPath(status) ? 'caller-fault' : classifyAnswer(status, codes, way.body);
  const capMs = limits.maxRetryAfterMs;
  const retryAfterMs =
    readRetryAfter(headers, { nowMs: deps.clock.now(), capMs }) ??
    capped(way.protocol.readRetryAfterMs?.(told), capMs);
  const provider = attempt.target.provider.name;
  // A page of some proxy in between is no error that a client of the protocol could read.
  const isOfProtocol = way.isRaw && (way.protocol.codec === undefined || parseObject(body) !== undefined);
  const isShown = failureTable[failureClass].showUpstreamError;
  const said = isShown && !isOfProtocol ? readErrorMessage(body) : undefined;
  const error = refusalError(failureClass, { provider, status, codes, retryAfterMs, said });
  const contentType = String(headers['content-type'] ?? 'application/json');
  throw new AttemptFailure(failureClass, error, {
    status,
    ...(isShown &&
      isOfProtocol && {
        refusal: { status, contentType, body, headers: picked(headers, way.protocol.errorHeaders, withheld) },
      }),
  });
}

/** RFC 9110 section 15.5. */
function isAboutPath(status: number): boolean {
  return status === 404 || status === 405 || status === 409 || status === 410;
}

function picked(
  headers: DialResponse['headers'],
  names: readonly string[] = [],
  { inText }: Withheld = nothingWithheld,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = headers[name];
    if (typeof value === 'string') found[name] = inText(value);
  }
  return found;
}

/** A credential that cannot be had is none that failed: another one may do. */
async function proven(proof: Promise<Proof>): Promise<Proof> {
  try {
    return await proof;
  } catch (error) {
    throw new AttemptFailure('credential', GatewayError.from(error), { wasAsked: false });
  }
}

function capped(ms: number | undefined, capMs: number): number | undefined {
  return ms === undefined ? undefined : Math.min(ms, capMs);
}

async function openStream(
  deps: CallUpstreamDeps,
  { attempt, way, response, proof, limits, deadline }: Dialed,
): Promise<Answer> {
  const { call } = attempt;
  const passage = way.openPassage(call.wantsCostComment ? () => costComment(attempt, facts()) : undefined);
  const facts = () => toldFacts(call, passage.facts);
  const stream = await UpstreamStream.open({
    body: response.body,
    passage,
    facts,
    provider: attempt.target.provider.name,
    clock: deps.clock,
    signal: call.signal,
    deadline,
    hold: limits.hold,
    clientStallMs: limits.clientStallMs,
    passesErrors: way.protocol.reachesAll === true,
    withhold: (bytes, end) =>
      withheldInStream(end === 'error' ? proof.withheld : proof.withheldInAnswers, bytes, {
        attempt,
        passage,
      }),
  });
  return { type: 'stream', attempt, stream };
}

/** A message whose checksum covers it is not changed: another one takes its place. */
function withheldInStream(
  withheld: Withheld,
  bytes: Buffer,
  { attempt, passage }: { attempt: Attempt; passage: Passage },
): Buffer {
  const shown = withheld.inBytes(bytes);
  if (shown === bytes || streamTypeOf(attempt.call.protocol) !== awsEventStreamType) return shown;
  return passage.renderError(malformed(attempt));
}

function readWhole(dialed: Dialed): Promise<Answer> | Answer {
  const bytes = dialed.response.readAll(dialed.limits.maxAnswerBytes);
  return bytes instanceof Promise ? bytes.then(all => wholeAnswer(dialed, all)) : wholeAnswer(dialed, bytes);
}

function wholeAnswer({ attempt, way, response, proof }: Dialed, bytes: Buffer): Answer {
  const read = way.readWhole(bytes, response.headers);
  if (read.type === 'answer') {
    const facts = toldFacts(attempt.call, read.facts);
    const body =
      way.protocol.codec === undefined ? withheldInWhole(proof, read.body, response.headers) : read.body;
    if (read.isStream) return { type: 'stream', attempt, stream: wholeStream(body, facts) };
    const contentType = way.isRaw
      ? String(response.headers['content-type'] ?? 'application/json')
      : 'application/json';
    const costNanoUsd = attemptCost(attempt, facts);
    const headers = picked(response.headers, way.isRaw ? way.protocol.answerHeaders : []);
    return { type: 'whole', attempt, body, contentType, headers, facts, costNanoUsd };
  }
  const provider = attempt.target.provider.name;
  if (read.type === 'malformed') throw malformed(attempt);
  const { failure, error } = reportedError(provider, read.codes);
  throw new AttemptFailure(failure, error, { status: 200 });
}

function malformed({ target }: Attempt): GatewayError {
  return new GatewayError(
    'upstream_failed',
    `The answer of the provider '${target.provider.name}' is not one of its protocol.`,
    { reason: 'upstream_answer_malformed' },
  );
}

/** A stream whose bytes are all here. */
function wholeStream(bytes: Buffer, facts: AnswerFacts): AnswerStream {
  const listeners: ((end: StreamEnd) => void)[] = [];
  return {
    hasContent: true,
    flow(sink) {
      sink.write(bytes);
      sink.end();
      for (const listener of listeners.splice(0))
        listener({ outcome: 'answered', error: undefined, failure: undefined, facts });
    },
    onEnd: listener => listeners.push(listener),
  };
}

/** What the answer's usage costs at the target; undefined when either is not known. */
function attemptCost(attempt: Attempt, facts: AnswerFacts): bigint | undefined {
  const serviceTier = givenServiceTier(attempt, facts);
  return facts.report && costOf(facts.report.usage, attempt.target.prices, serviceTier);
}

function costComment(attempt: Attempt, facts: AnswerFacts): string | undefined {
  const cost = attemptCost(attempt, facts);
  return cost === undefined ? ': strata unpriced\n\n' : `: strata cost_nano_usd=${cost}\n\n`;
}
