import type { OutgoingHttpHeaders } from 'node:http';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DirectRequest } from '@strata/shared/http/direct-request.ts';
import { sendJson } from '@strata/shared/http/send-whole.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { BackgroundRun, BackgroundStore } from '../domain/background-run.ts';
import type { AnswerStream, Call, StreamSink } from '../domain/call.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { ownerOf } from '../domain/owner.ts';
import type { BackgroundRuns } from '../pipeline/background-runs.ts';
import { type Continuation, continuationOf } from '../pipeline/continuations.ts';
import { openTurn, type TurnDeps } from '../pipeline/conversation-turn.ts';
import { inputItems } from '../protocols/openai-responses/decode-request.ts';
import { responsesErrorEvent } from '../protocols/openai-responses/errors.ts';
import { openaiResponses } from '../protocols/openai-responses/openai-responses.ts';
import { responseId, responseObject } from '../protocols/openai-responses/response-object.ts';
import { parseObject } from '../protocols/read-json.ts';
import { type ModelEndpointDeps, openCall } from './model-endpoint.ts';
import { ownShape, sendStream, sseType } from './stream-reply.ts';

export interface BackgroundDeps extends TurnDeps {
  readonly runs: BackgroundRuns;
  readonly background: BackgroundStore;
}

/** Answers at once, with the response as it is queued, or with the stream of its events. */
export async function createInBackground(
  deps: BackgroundDeps & ModelEndpointDeps,
  request: DirectRequest,
): Promise<void> {
  const { caller, body } = request;
  const continuation = continuationOf(body);
  const open = (signal: StopSignal, onAdmitted: () => void) =>
    openCall({ request, body, background: { signal, onAdmitted } }, { protocol: openaiResponses }, deps);
  const call = open(request.gone, () => {}); // refused before anything is begun for it
  const stored = {
    id: responseId(call.requestId),
    response: queuedResponse(call, continuation, deps.clock.now()),
    input: inputItems(parseObject(body)?.input),
  };
  const turn = continuation.turn && (await openTurn(deps, ownerOf(caller), continuation.turn));
  const isStreamed = continuation.background?.isStreamed === true;
  const run = await deps.runs.begin(caller, { stored, isStreamed, turn, openCall: open });
  if (isStreamed) followResponse(deps, { request, run, after: -1 });
  else sendJson(request, stored.response);
}

function queuedResponse(call: Call, { restored }: Continuation, nowMs: number): JsonObject {
  const { request, requestId, route } = call;
  const { model, isStream, body } = request;
  const decoded = openaiResponses.codec?.decodeRequest(parseObject(body) ?? {}, { model, isStream });
  if (decoded === undefined) throw new Error('The protocol has a codec');
  const response = responseObject(
    {
      ...{ requestId, alias: route.alias, nowMs, request: decoded, wantsStreamUsage: true },
      origin: { provider: '', model: '' },
    },
    { model: undefined, output: [], finish: undefined },
  );
  return { ...response, status: 'queued', ...restored };
}

/** How long a reader waits for word from another process before it looks. */
const lookEveryMs = 250;

/** Sends the events after that number: those there are, then those that come, to the last. */
export function followResponse(
  deps: BackgroundDeps & { readonly clock: Clock },
  options: {
    request: Pick<DirectRequest, 'gone' | 'response'> & { readonly replyHeaders: OutgoingHttpHeaders };
    run: BackgroundRun;
    after: number;
  },
): void {
  const { request, run, after } = options;
  const stream: AnswerStream = {
    hasContent: true,
    onEnd: () => {},
    flow: sink => void follow(deps, { run, after, sink, gone: request.gone }),
  };
  sendStream(request.response, request.replyHeaders, stream, {
    clock: deps.clock,
    shape: ownShape(sseType),
  });
}

interface Reader {
  readonly run: BackgroundRun;
  readonly after: number;
  readonly sink: StreamSink;
  readonly gone: StopSignal;
}

async function follow(
  { background, runs, clock }: BackgroundDeps & { readonly clock: Clock },
  { run, after, sink, gone }: Reader,
): Promise<void> {
  let seen = after;
  try {
    while (!gone.aborted) {
      const change = runs.nextChange(run.id);
      const isRunning = await background.isRunning(run);
      const { first = seen + 1, frames = [] } = (await background.events(run, seen)) ?? {};
      if (first > seen + 1 && frames.length > 0) throw eventsExpired();
      for (const frame of frames) if (!sink.write(frame)) await drained(sink, gone);
      seen += frames.length;
      if (frames.length === 0) {
        if (!isRunning) break;
        await runs.endIfDead(run);
        await Promise.race([change.changed, clock.sleep(lookEveryMs, gone).catch(() => {})]);
      }
      change.forget();
    }
  } catch (error) {
    sink.write(responsesErrorEvent(GatewayError.from(error), { sequence: seen + 1 }));
  }
  sink.end();
}

function drained(sink: StreamSink, gone: StopSignal): Promise<void> {
  return new Promise(resolve => {
    sink.onDrain(resolve);
    gone.addEventListener('abort', () => resolve());
  });
}

export function eventsExpired(): GatewayError {
  return new GatewayError('not_found', 'The events of this response are not kept any more.', {
    reason: 'response_events_expired',
  });
}
