import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { randomText } from '@strata/shared/ids.ts';
import type { Edit } from '@strata/shared/json/splice.ts';
import type { ParkedRuns } from '../bridge/parked-runs.ts';
import type { InputResponses, ParkedPlace, ParkedRun, Viewer } from '../bridge/viewer.ts';
import { type Call, cancelledByClient, failCall } from '../domain/exchange.ts';
import type { RequestFrame, ResponseFrame } from '../domain/frame.ts';
import type { Sealer } from '../domain/sealer.ts';
import type { Channel } from '../domain/upstream.ts';
import { errorCodeOf, rawText } from '../wire/frame.ts';
import { isInputRequired } from '../wire/modern/input-required.ts';
import type { ExposedNames } from '../wire/references.ts';
import { copySpan, renderResult } from '../wire/render.ts';
import { onOneLine } from '../wire/splice.ts';
import type { ClientSide } from './client-side.ts';
import { isLogged } from './log-levels.ts';
import type { ModernPeer } from './modern-peer.ts';
import { modernEdits, stateOf, statusOfCode } from './modern-results.ts';
import { neededCapability, refuse } from './reverse-requests.ts';
import { invalidAnswer, isAnswer, superseded, withId } from './run-answers.ts';
import { RunCall } from './run-call.ts';

export interface ModernRunOptions {
  readonly peer: ModernPeer;
  readonly clock: Clock;
  readonly sealer: Sealer;
  readonly parked: ParkedRuns;
  readonly instance: string;
  /** Whom and what the sealed state is bound to: principal, route, request. */
  readonly binding: () => string;
  readonly logLevel: string | undefined;
  /** The state that came back, as the server gave it out. */
  readonly state: ServerState | undefined;
  readonly inputTimeoutMs: number;
}

/** A server's own state, as it is in the client's hands. */
export interface ServerState {
  readonly server: string;
  readonly state: string;
}

export type SealedState = { readonly parked: ParkedPlace } | { readonly upstream: ServerState };

export const statePurpose = 'request-state';

interface Question {
  readonly channel: Channel;
  readonly serverId: Buffer;
  readonly request: string;
}

/** Methods that may be answered with questions (2026-07-28, "Multi Round-Trip Requests"). */
const mayAsk = new Set(['tools/call', 'prompts/get', 'resources/read']);
const maxQuestions = 100;

/**
 * One call of a client without sessions. A server that asks in the middle of it parks it: its client gets `input_required`
 * and comes back with the answers, perhaps at another replica, and the call goes on where it was. It is never made twice.
 */
export class ModernRun implements ClientSide, ParkedRun {
  readonly era = 'modern';
  readonly id = randomText(20);
  readonly #options: ModernRunOptions;
  readonly #questions = new Map<string, Question>();
  readonly call = new RunCall(this.#questions);
  #round = 0;
  #asked = 0;
  #isParking = false;
  #parkedBody: Buffer | undefined;
  #errorCode: number | undefined;
  #outcome: { readonly body: Buffer; readonly status: number } | undefined;
  #expiry: Scheduled | undefined;

  constructor(options: ModernRunOptions) {
    this.#options = options;
  }

  get tag() {
    return this.#options.peer.tag;
  }
  get hello() {
    return this.#options.peer.hello;
  }
  get catalog() {
    return this.#options.peer.catalog;
  }
  get channels() {
    return this.#options.peer.channels;
  }
  get logLevel() {
    return this.#options.logLevel;
  }
  get owner() {
    return this.#options.peer.principal;
  }
  get isSettled() {
    return this.#outcome !== undefined;
  }
  get canAsk() {
    return this.#outcome === undefined && !this.call.end.aborted;
  }

  /** Runs to the one answer, which goes to whoever views the call then. */
  async run(viewer: Viewer, work: () => Promise<Buffer>, fail: (error: unknown) => Failure): Promise<void> {
    const { peer } = this.#options;
    this.#attach(viewer);
    const place = peer.runs.add(this);
    try {
      const body = await work();
      this.#finish(body, statusOfCode(this.#errorCode));
    } catch (error) {
      if (error === cancelledByClient) this.#end();
      else {
        const { body, status } = fail(error);
        this.#finish(body(this.call.rawId), status);
      }
    } finally {
      place.leave();
    }
  }

  namesOf(server: string): ExposedNames {
    return this.#options.peer.namesOf(server);
  }

  wants(method: string, message: Buffer): boolean {
    return method !== 'notifications/message' || isLogged(message, this.#options.logLevel);
  }

  sendFor(_call: Call, message: Buffer, mayBeLost: boolean): void {
    this.call.viewer?.carrier.emit(onOneLine(message), mayBeLost);
  }

  /** @throws GatewayError invalid_request (`invalid_state`) when the state that came back is another server's */
  requestEdits(server: string): readonly { readonly path: readonly string[]; readonly text: string }[] {
    const { state } = this.#options;
    if (!state) return [];
    if (state.server !== server) throw invalidState();
    return [{ path: ['requestState'], text: state.state }];
  }

  answerEdits(method: string, server: string, answer: ResponseFrame): Edit[] {
    this.#errorCode = errorCodeOf(answer);
    const edits = modernEdits(method, answer);
    const state = isInputRequired(answer) ? stateOf(answer) : undefined;
    if (!state) return edits;
    const sealed = this.#seal({ upstream: { server, state: state.text } });
    return [...edits, { start: state.start, end: state.end, text: JSON.stringify(sealed) }];
  }

  ask(_call: Call, channel: Channel, frame: RequestFrame): void {
    const capability = neededCapability[frame.method];
    const serverId = copySpan(frame.bytes, frame.id);
    if (capability === undefined || this.hello.capabilities[capability] === undefined || !this.canAsk) {
      channel.tell(refuse(serverId, -32601, `The client does not take '${frame.method}'.`));
      return;
    }
    if (this.#questions.size >= maxQuestions) {
      channel.tell(refuse(serverId, -32000, 'Too many questions wait for the client.'));
      return;
    }
    const params = frame.params ? `,"params":${rawText(frame.bytes, frame.params)}` : '';
    const request = `{"method":${JSON.stringify(frame.method)}${params}}`;
    this.#questions.set(`q${++this.#asked}`, { channel, serverId, request });
    this.#parkSoon();
  }

  /** A server takes its question back, or is gone with it. */
  forget(channel: Channel, serverId?: Buffer): void {
    for (const [key, question] of this.#questions) {
      if (question.channel !== channel) continue;
      if (serverId === undefined || question.serverId.equals(serverId)) this.#questions.delete(key);
    }
  }

  resume(viewer: Viewer, round: number, responses: InputResponses): void {
    const settled = this.#settledFor(round, viewer.rawId, responses);
    if (settled) {
      viewer.settle(settled.body, settled.status);
      return;
    }
    this.#attach(viewer);
    for (const [key, raw] of responses) {
      const question = this.#questions.get(key);
      if (!question) continue; // more than was asked for is no error
      this.#questions.delete(key);
      question.channel.tell(renderResult(question.serverId, raw));
    }
    if (this.#questions.size > 0) this.#park();
  }

  /** What a retry gets at once: the outcome, what was asked since, or what is wrong with it. */
  #settledFor(round: number, rawId: Buffer, responses: InputResponses) {
    if (this.#outcome) return { body: withId(this.#outcome.body, rawId), status: this.#outcome.status };
    if (round !== this.#round && this.#parkedBody)
      return { body: withId(this.#parkedBody, rawId), status: 200 };
    const invalid = [...responses].find(([key, raw]) => this.#questions.has(key) && !isAnswer(raw));
    return invalid && { body: invalidAnswer(rawId, invalid[0]), status: 200 };
  }

  leave(viewer: Viewer): void {
    if (this.call.viewer !== viewer) return;
    this.call.viewer = undefined;
    this.call.end.stop(cancelledByClient);
  }

  #attach(viewer: Viewer): void {
    this.#expiry?.cancel();
    const before = this.call.viewer;
    this.call.viewer = viewer;
    this.call.rawId = viewer.rawId;
    this.#parkedBody = undefined;
    before?.settle(superseded(before.rawId), 200);
  }

  /** Questions that come together are asked together. */
  #parkSoon(): void {
    if (this.#isParking) return;
    this.#isParking = true;
    setImmediate(() => {
      this.#isParking = false;
      if (this.call.viewer && this.#questions.size > 0 && !this.#outcome) this.#park();
    });
  }

  #park(): void {
    const { clock, parked, inputTimeoutMs, instance } = this.#options;
    const viewer = this.call.viewer;
    if (!viewer) return;
    const round = ++this.#round;
    const [server = ''] = [...this.#questions.values()].map(({ channel }) => channel.upstream.name);
    const state = this.#seal({ parked: { owner: instance, id: this.id, round, server } });
    const requests = [...this.#questions].map(([key, { request }]) => `${JSON.stringify(key)}:${request}`);
    const result = `{"resultType":"input_required","inputRequests":{${requests.join(',')}},"requestState":${JSON.stringify(state)}}`;
    try {
      parked.add(this);
    } catch (error) {
      failCall(this.call, GatewayError.from(error)); // its servers are told, its client gets the error
      return;
    }
    this.#parkedBody = renderResult(viewer.rawId, result);
    this.#expiry = clock.schedule(inputTimeoutMs, () => this.#expire());
    this.call.viewer = undefined;
    viewer.settle(this.#parkedBody, 200);
  }

  #expire(): void {
    failCall(
      this.call,
      new GatewayError('timeout', 'The client did not answer in time.', { reason: 'call_timeout' }),
    );
    this.#end();
  }

  #finish(body: Buffer, status: number): void {
    this.#outcome = { body, status };
    this.call.viewer?.settle(body, status);
    this.call.viewer = undefined;
    this.#questions.clear();
    this.#expiry?.cancel();
    if (this.#round === 0) return;
    const { clock, inputTimeoutMs } = this.#options;
    this.#expiry = clock.schedule(inputTimeoutMs, () => this.#end());
  }

  #end(): void {
    this.#expiry?.cancel();
    this.#questions.clear();
    if (this.#round > 0) this.#options.parked.remove(this);
  }

  #seal(state: SealedState): string {
    const { sealer, binding, clock, inputTimeoutMs } = this.#options;
    return sealer.seal(statePurpose, binding(), state, clock.now() + inputTimeoutMs);
  }
}

/** An error with the body it has for its request, and its HTTP status. */
export interface Failure {
  readonly body: (rawId: Buffer) => Buffer;
  readonly status: number;
}

export function mayBeAsked(method: string): boolean {
  return mayAsk.has(method);
}

export function invalidState(): GatewayError {
  return new GatewayError(
    'invalid_request',
    'The `requestState` is not one that was given out for this request, or it has expired.',
    { reason: 'invalid_state', param: 'requestState' },
  );
}
