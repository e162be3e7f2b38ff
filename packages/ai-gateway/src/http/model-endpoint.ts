import type { OutgoingHttpHeaders } from 'node:http';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest, DirectRoute } from '@strata/shared/http/direct-request.ts';
import { sendBytes } from '@strata/shared/http/send-whole.ts';
import type { GatewayServer } from '@strata/shared/http/server.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { inputTokens, outputTokens } from '@strata/shared/money/usage.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { Answer, Call } from '../domain/call.ts';
import { describeLosses } from '../domain/losses.ts';
import { type AnswerFacts, type PathRequest, type Protocol, streamTypeOf } from '../domain/protocol.ts';
import { findRoute, type Route, type RouteTable, targetsReached } from '../domain/route.ts';
import { refuseOverrideHeaders } from '../domain/upstream-overrides.ts';
import { callDeadline } from '../pipeline/call-deadline.ts';
import { canReach } from '../pipeline/choose-way.ts';
import { protocols } from '../protocols/registry.ts';
import { ownShape, type StreamShape, sendStream, sseType } from './stream-reply.ts';

export interface ModelEndpointDeps {
  readonly clock: Clock;
  /** The routes in force. Read once a request. */
  routes(): RouteTable;
  answer(call: Call): Promise<Answer>;
  /** Of one request, from here to the last byte of its answer. Read once a request. */
  totalTimeoutMs(): number;
}

type OpenDeps = Pick<ModelEndpointDeps, 'clock' | 'routes' | 'totalTimeoutMs'>;

export interface ModelEndpoint {
  readonly path: string;
  readonly protocol: Protocol;
  /** `POST` alone by default. */
  readonly methods?: readonly ('GET' | 'POST' | 'DELETE')[];
  /** JSON alone by default. */
  readonly mediaTypes?: readonly string[];
  /** Takes the body in a way of its own. */
  readonly receive?: DirectRoute['receive'];
  /** Where the model of the request does not decide. @throws GatewayError not_found. */
  findRoute?(request: DirectRequest): Route;
  /** Before the body is read. */
  prepare?(body: Buffer, caller: Caller): Promise<Buffer> | Buffer;
  /** Around the making of the answer. */
  around?(call: Call, next: () => Promise<Answer>): Promise<Answer>;
  /** The query parameter in which clients of this protocol may send their key. */
  readonly queryKey?: string;
  /** Where the path says what the body does not. @throws GatewayError not_found. */
  readPath?(request: DirectRequest): PathRequest;
  /** Sends a stream in another form than the protocol's own, where the request asks for one. */
  reshape?(request: DirectRequest): StreamShape | undefined;
}

/** Where endpoints are put that answer without Fastify. */
export type DirectServer = Pick<GatewayServer, 'addDirect'>;

/** One endpoint that takes requests of one protocol and answers in it. */
export function addModelEndpoint(
  server: DirectServer,
  endpoint: ModelEndpoint,
  deps: ModelEndpointDeps,
): void {
  server.addDirect({ ...modelRoute(endpoint), handle: modelHandler(endpoint, deps) });
}

export function modelRoute({
  path,
  protocol,
  queryKey,
  mediaTypes,
  receive,
  methods = ['POST'],
}: ModelEndpoint): Omit<DirectRoute, 'handle'> {
  const route = { methods, url: path, errors: protocol.renderError, queryKey, mediaTypes };
  return receive === undefined ? route : { ...route, receive };
}

/** Answers one request of the endpoint. */
export function modelHandler(endpoint: ModelEndpoint, deps: ModelEndpointDeps): DirectRoute['handle'] {
  return async request => {
    const { body: written, caller } = request;
    const prepared = endpoint.prepare?.(written, caller) ?? written;
    const body = prepared instanceof Promise ? await prepared : prepared;
    const call = openCall({ request, body }, endpoint, deps);
    let answer: Answer;
    try {
      answer = await (endpoint.around?.(call, () => deps.answer(call)) ?? deps.answer(call));
    } catch (error) {
      throw refused(request, call, { error, clock: deps.clock });
    }
    send(request, answer, { clock: deps.clock, shape: endpoint.reshape?.(request) });
  };
}

interface CallOrigin {
  readonly request: DirectRequest;
  readonly body: Buffer;
  /** Of a call that goes on when its client has left. */
  readonly background?: { readonly signal: StopSignal; readonly onAdmitted: () => void };
}

/** @throws GatewayError when the request is not one, or asks for a model that the caller has not. */
export function openCall(
  { request, body, background }: CallOrigin,
  endpoint: Pick<ModelEndpoint, 'protocol' | 'readPath' | 'findRoute'>,
  deps: OpenDeps,
): Call {
  const { headers, caller } = request;
  const { protocol } = endpoint;
  refuseOverrideHeaders(headers);
  const modelRequest = protocol.readRequest(body, endpoint.readPath?.(request), headers['content-type']);
  const route =
    endpoint.findRoute?.(request) ?? findRoute(deps.routes(), modelRequest.model, caller.scopes.models);
  return {
    requestId: request.id,
    caller,
    protocol,
    request: modelRequest,
    headers,
    route,
    targets: targetsReached(route, protocol.name, provider => canReach(protocol, provider, protocols)),
    signal: background?.signal ?? endOf(request, deps),
    onAdmitted: background?.onAdmitted,
    trace: request.traceContext,
    wantsCostComment: headers['x-strata-usage'] === 'comment' && streamTypeOf(protocol) === sseType,
    replyHeaders: {},
    startedAtMs: deps.clock.monotonic(),
    upstreamMs: 0,
    failures: [],
  };
}

/** Ends with the client, or when its time is over. */
function endOf(request: DirectRequest, { clock, totalTimeoutMs }: OpenDeps): StopSignal {
  const end = { clock, totalTimeoutMs: totalTimeoutMs(), parent: request.end };
  const deadline = callDeadline(request.caller, end);
  request.onClose(() => deadline.close());
  return deadline.signal;
}

function send(
  { response, replyHeaders }: DirectRequest,
  answer: Answer,
  { clock, shape }: { clock: Clock; shape: StreamShape | undefined },
): void {
  const { attempt } = answer;
  const headers: OutgoingHttpHeaders = {
    ...replyHeaders,
    ...attempt.call.replyHeaders,
    [attempt.call.protocol.requestIdHeader]: attempt.call.requestId,
    'x-strata-provider': attempt.target.provider.name,
    'x-strata-model': attempt.target.model,
    'x-strata-attempts': String(attempt.number),
    'x-strata-overhead-ms': overheadOf(attempt.call, clock),
  };
  if (attempt.losses.length > 0) headers['x-strata-changed'] = describeLosses(attempt.losses);
  switch (answer.type) {
    case 'whole':
      addUsage(headers, answer.facts);
      if (answer.costNanoUsd === undefined) headers['x-strata-unpriced'] = 'true';
      else headers['x-strata-cost-nano-usd'] = String(answer.costNanoUsd);
      Object.assign(headers, answer.headers, { 'content-type': answer.contentType });
      sendBytes(response, 200, { headers, body: answer.body });
      return;
    case 'refusal': {
      const { status, contentType, body } = answer.refusal;
      sendBytes(response, status, {
        headers: {
          ...headers,
          ...answer.refusal.headers,
          'content-type': contentType,
          'x-should-retry': 'false',
        },
        body,
      });
      return;
    }
    case 'stream':
      sendStream(response, headers, answer.stream, {
        clock,
        shape: shape ?? ownShape(streamTypeOf(attempt.call.protocol)),
      });
  }
}

/** What the gateway itself took, the waits between attempts included. */
function overheadOf({ startedAtMs, upstreamMs }: Call, clock: Clock): string {
  return Math.max(0, clock.monotonic() - startedAtMs - upstreamMs).toFixed(2);
}

/** A stream's usage is known after its head was sent: it is in the stream itself, and in the cost comment. */
function addUsage(headers: OutgoingHttpHeaders, { report }: AnswerFacts): void {
  if (report === undefined) return;
  const { usage } = report;
  headers['x-strata-input-tokens'] = String(inputTokens(usage));
  headers['x-strata-cached-tokens'] = String(usage.cacheRead);
  headers['x-strata-output-tokens'] = String(outputTokens(usage));
}

/** Tells what was tried, the last of it by name, and stops the official SDKs from repeating what no repetition can cure. */
function refused(
  { replyHeaders }: DirectRequest,
  call: Call,
  { error, clock }: { error: unknown; clock: Clock },
): GatewayError {
  const { failures } = call;
  const last = failures.at(-1);
  Object.assign(replyHeaders, call.replyHeaders, {
    'x-strata-attempts': String(failures.length),
    'x-strata-overhead-ms': overheadOf(call, clock),
    ...(last && { 'x-strata-provider': last.provider, 'x-strata-model': last.model }),
  });
  const isHopeless = failures.length > 0 && failures.every(each => hopeless.has(each.failure));
  if (isHopeless) replyHeaders['x-should-retry'] = 'false';
  return GatewayError.from(error);
}

const hopeless = new Set(['quota', 'credential', 'model-gone']);
