import type { Clock } from '@strata/shared/clock.ts';
import { retryHeaders } from '@strata/shared/errors/error-renderer.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { formatTraceparent } from '@strata/shared/http/trace-context.ts';
import type { ParkedRuns } from '../bridge/parked-runs.ts';
import type { InputResponses, Viewer } from '../bridge/viewer.ts';
import { Exchange, failCall, type MessageStream } from '../domain/exchange.ts';
import type { Frame, RequestFrame } from '../domain/frame.ts';
import type { Sealer } from '../domain/sealer.ts';
import type { GatewaySettings } from '../domain/settings.ts';
import type { UpstreamDirectory } from '../domain/upstream-directory.ts';
import type { Dispatch } from '../pipeline/dispatch.ts';
import { describeToModern } from '../pipeline/initialize.ts';
import { mayGoOn } from '../pipeline/may-call.ts';
import { endOfListening, listen } from '../pipeline/modern-listen.ts';
import type { ModernPeer } from '../pipeline/modern-peer.ts';
import type { ModernPeers } from '../pipeline/modern-peers.ts';
import { statusOfCode } from '../pipeline/modern-results.ts';
import {
  type Failure,
  invalidState,
  ModernRun,
  mayBeAsked,
  type SealedState,
  statePurpose,
} from '../pipeline/modern-run.ts';
import type { DispatchDeps } from '../pipeline/request.ts';
import type { ServerFacts } from '../pipeline/server-facts.ts';
import { progressTokenOf } from '../wire/forward-request.ts';
import { errorCodeOf, parseFrame, rawText, textParam } from '../wire/frame.ts';
import { copySpan, renderError, renderErrorObject, renderResult } from '../wire/render.ts';
import { digestOf } from '../wire/request-digest.ts';
import { traceOfMessage } from '../wire/trace-meta.ts';
import type { Accepted } from './accept.ts';
import { openDirectStream } from './direct-stream.ts';
import { isEndedHere } from './event-sink.ts';
import { type FollowDeps, followKey } from './follow-key.ts';
import {
  isProblem,
  type ModernProblem,
  type ModernRequest,
  readModernRequest,
  supportedVersions,
} from './modern-request.ts';
import { sendEmpty, sendJson } from './send-json.ts';

export interface ModernEndpointDeps extends FollowDeps {
  readonly clock: Clock;
  readonly settings: () => GatewaySettings;
  readonly directoryOf: (route: string) => UpstreamDirectory;
  readonly facts: ServerFacts;
  readonly dispatch: Dispatch;
  readonly policy: DispatchDeps['policy'];
  readonly peers: ModernPeers;
  readonly parked: ParkedRuns;
  readonly sealer: Sealer;
  readonly instance: string;
  readonly onDropped: () => void;
  readonly onUnforeseen: (error: unknown, requestId: string) => void;
}

export interface ModernPost {
  readonly frame: Frame;
  readonly route: string;
  readonly accepted: Accepted;
}

/** A stream of this era cannot be resumed, and its status is 200 whatever the answer: it only keeps long calls from looking idle. */
const streamAfterMs = 5000;

/** A POST of the revision 2026-07-28: one request, complete in itself. Nothing of it outlives it but what waits for its client. */
export async function postModern(
  request: DirectRequest,
  { frame, route, accepted }: ModernPost,
  deps: ModernEndpointDeps,
): Promise<void> {
  if (frame.kind === 'notification') return sendEmpty(request, 202); // there is none of a client that concerns anything
  if (frame.kind === 'response') return sendJson(request, 400, renderErrorObject(undefined, noRequest));
  const read = readModernRequest(frame, request.headers);
  if (isProblem(read)) return sendJson(request, 400, renderProblem(frame, read));
  const exchange: Exchange<MessageStream> = new Exchange({
    requests: 1,
    isBatch: false,
    mayStream: accepted.stream,
    openStream: () => openDirectStream(request, deps.onDropped),
  });
  const answering = new Answering(request, exchange, read, deps);
  if (!accepted.json) exchange.stream();
  answering.start(route);
  return answering.deliver();
}

/** One HTTP request on its way to its answer. */
class Answering {
  readonly #request: DirectRequest;
  readonly #exchange: Exchange<MessageStream>;
  readonly #read: ModernRequest;
  readonly #deps: ModernEndpointDeps;
  #status = 200;

  constructor(
    request: DirectRequest,
    exchange: Exchange<MessageStream>,
    read: ModernRequest,
    deps: ModernEndpointDeps,
  ) {
    this.#request = request;
    this.#exchange = exchange;
    this.#read = read;
    this.#deps = deps;
  }

  start(route: string): void {
    this.#answer(route).catch((error: unknown) => {
      const { body, status } = this.#failure(error);
      this.#settle(body(this.#rawId()), status);
    });
  }

  async deliver(): Promise<void> {
    const timer = this.#deps.clock.schedule(streamAfterMs, () => this.#exchange.stream());
    const decided = await this.#exchange.reply;
    timer.cancel();
    if (decided.type === 'json') {
      sendJson(this.#request, this.#status, decided.body, this.#exchange.headers);
    } else if (decided.type === 'nothing') sendEmpty(this.#request, 202);
  }

  #rawId(): Buffer {
    const { frame } = this.#read;
    return copySpan(frame.bytes, frame.id);
  }

  #settle(body: Buffer, status: number): void {
    this.#status = status;
    this.#exchange.settle(body);
  }

  async #answer(route: string): Promise<void> {
    const { frame, capabilities, clientInfo } = this.#read;
    const { caller } = this.#request;
    if (frame.method === 'server/discover') return this.#discover(route);
    const peer = this.#deps.peers.of({ caller, route, capabilities, clientInfo });
    if (frame.method === 'subscriptions/listen') return this.#listen(peer, route);
    return this.#call(peer, route);
  }

  async #discover(route: string): Promise<void> {
    const { directoryOf, facts, settings } = this.#deps;
    const { caller, gone } = this.#request;
    const signal = AbortSignal.any([gone, AbortSignal.timeout(settings().listTimeoutMs)]);
    const directory = directoryOf(route);
    const result = await describeToModern({ caller, directory, facts, signal, supportedVersions });
    this.#settle(renderResult(this.#rawId(), result), 200);
  }

  async #listen(peer: ModernPeer, route: string): Promise<void> {
    const { frame } = this.#read;
    const { gone, caller } = this.#request;
    let isOver = false;
    let stop = () => {};
    const end = () => {
      isOver = true;
      stop();
      this.#settle(Buffer.from(endOfListening(frame)), 200);
    };
    // Its client listens again, to what is left.
    followKey(this.#request, { route, onChanged: end }, this.#deps);
    stop = await listen({
      peer,
      frame,
      directory: this.#deps.directoryOf(route),
      caller,
      policy: this.#deps.policy,
      send: message => this.#exchange.emit(Buffer.from(message), false),
      signal: gone,
      onEnd: end,
    });
    if (gone.aborted || isOver) end();
    else gone.addEventListener('abort', end, { once: true });
  }

  async #call(peer: ModernPeer, route: string): Promise<void> {
    const { frame, logLevel } = this.#read;
    const { caller, gone, id: requestId, traceContext, headers } = this.#request;
    const { clock, sealer, parked, instance, settings, dispatch, policy } = this.#deps;
    const binding = () => JSON.stringify([caller.tenant, caller.principal, route, digestOf(frame)]);
    const state = this.#openState(binding);
    const viewer: Viewer = {
      rawId: this.#rawId(),
      progressToken: progressTokenOf(frame),
      carrier: this.#exchange,
      settle: (body, status) => this.#settle(body, status),
    };
    if (state && 'parked' in state) {
      const upstream = this.#deps.directoryOf(route).get(state.parked.server);
      if (!upstream || !mayGoOn({ caller, frame, policy }, upstream)) throw invalidState();
      return parked.resume(state.parked, inputResponses(frame), viewer, gone);
    }
    const run = new ModernRun({
      peer,
      clock,
      sealer,
      parked,
      instance,
      binding,
      logLevel,
      state: state?.upstream,
      inputTimeoutMs: settings().inputTimeoutMs,
    });
    followClient(gone, run, viewer);
    const live = this.#deps.live.add({ caller, abort: reason => failCall(run.call, reason) });
    if (logLevel !== undefined) await peer.needLogLevel(logLevel, gone);
    const { call } = run;
    const trace = traceOfMessage(frame) ?? traceContext;
    const traceparent = formatTraceparent(trace);
    const work = () => dispatch({ client: run, caller, call, frame, requestId, trace, traceparent, headers });
    await run.run(viewer, work, error => this.#failure(error)).finally(() => live.leave());
  }

  /** @throws GatewayError invalid_request (`invalid_state`) */
  #openState(binding: () => string): SealedState | undefined {
    const { frame } = this.#read;
    const span = frame.params?.members?.get('requestState');
    if (!span || !mayBeAsked(frame.method)) return undefined;
    const { sealer, clock } = this.#deps;
    const opened = sealer.open(statePurpose, binding(), textParam(frame, 'requestState') ?? '', clock.now());
    if (opened === undefined) throw invalidState();
    return opened as SealedState; // sealed by a ModernRun
  }

  #failure(error: unknown): Failure {
    const { id } = this.#request;
    if (!(error instanceof GatewayError)) this.#deps.onUnforeseen(error, id);
    const known = GatewayError.from(error);
    this.#exchange.addHeaders(retryHeaders(known));
    const body = (rawId: Buffer) => renderError(rawId, known, id, 'modern');
    const rendered = parseFrame(body(this.#rawId()));
    return { body, status: rendered.kind === 'response' ? statusOfCode(errorCodeOf(rendered)) : 200 };
  }
}

/** A client of this era cancels by leaving (F60). One that leaves a call which waits for its answers leaves nothing behind. */
function followClient(gone: AbortSignal, run: ModernRun, viewer: Viewer): void {
  const onGone = () => {
    if (isEndedHere(gone.reason)) run.call.end.stop(gone.reason);
    else run.leave(viewer);
  };
  if (gone.aborted) queueMicrotask(onGone);
  else gone.addEventListener('abort', onGone, { once: true });
}

function inputResponses(frame: RequestFrame): InputResponses {
  const members = frame.params?.members?.get('inputResponses')?.members;
  return new Map([...(members ?? [])].map(([key, span]) => [key, rawText(frame.bytes, span)]));
}

const noRequest = JSON.stringify({ code: -32600, message: 'Nothing was asked that could be answered.' });

export function renderProblem(frame: Frame | undefined, { code, message, data }: ModernProblem): Buffer {
  const rawId = frame?.kind === 'request' ? copySpan(frame.bytes, frame.id) : undefined;
  return renderErrorObject(rawId, JSON.stringify({ code, message, data }));
}
