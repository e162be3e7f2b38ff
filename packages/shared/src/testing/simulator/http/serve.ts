import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../../clock.ts';
import { type Fault, type FaultBook, parseFault } from '../faults.ts';
import { composeAnswer, type PromptCache } from '../model/compose-answer.ts';
import type { Conversation } from '../model/conversation.ts';
import type { IdSource } from '../model/ids.ts';
import { type Pace, play, type Stage } from './play.ts';
import {
  ApiError,
  type ApiRequest,
  type Billing,
  type Composed,
  type Desk,
  headerOf,
  type ModelEntry,
  type Operation,
  type Protocol,
  type Reply,
} from './protocol.ts';
import type { Outcome, Records } from './records.ts';

export interface Workshop {
  readonly protocols: readonly Protocol[];
  readonly models: Readonly<Record<string, ReadonlyMap<string, ModelEntry>>>;
  readonly acceptedKeys: ReadonlySet<string> | undefined;
  readonly pace: Pace;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly cache: PromptCache;
  readonly faults: FaultBook;
  readonly records: Records;
  readonly stored: Map<string, unknown>;
}

/** Answers one request to a vendor's API. */
export async function serve(
  workshop: Workshop,
  protocol: Protocol,
  incoming: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly body: Buffer },
): Promise<void> {
  const { clock } = workshop;
  const { request, response } = incoming;
  const { apiRequest, operation } = route(protocol, request, incoming.body);
  const entry = workshop.records.start({
    protocol: protocol.name,
    operation: operation?.name ?? 'unknown',
    method: apiRequest.method,
    path: request.url ?? '/',
    headers: request.headers,
    body: incoming.body,
    startedAtMs: clock.now(),
  });
  const departure = createDeparture();
  let billing: Billing | undefined;
  const finish = (outcome: Outcome, isBilled = true) =>
    entry.end(outcome, clock.now(), isBilled ? billing : undefined);
  response.once('close', () => {
    finish('client-left', response.headersSent);
    departure.happened();
  });
  const requestFault = createRequestFault(workshop, protocol, apiRequest);
  const desk = createDesk(workshop, protocol, requestFault);
  const stage: Stage = {
    response,
    clock,
    pace: paceOf(apiRequest, workshop.pace),
    entry,
    get gone() {
      return departure.signal;
    },
    finish,
    renderError: error => protocol.renderError(error, desk),
  };
  const reply = answer({
    protocol,
    operation,
    apiRequest,
    desk,
    acceptedKeys: workshop.acceptedKeys,
    requestFault,
  });
  billing = reply.billing;
  entry.request.model = reply.billing?.model ?? requestFault.model;
  try {
    await play(reply, stage, requestFault.fault ?? reply.fault);
  } catch (error) {
    if (!departure.signal.aborted) throw error;
  }
}

/** An abort signal that is made when somebody wants it: most answers are out before that. */
function createDeparture() {
  let controller: AbortController | undefined;
  let isGone = false;
  return {
    happened: () => {
      isGone = true;
      controller?.abort(left);
    },
    get signal(): AbortSignal {
      if (isGone) return AbortSignal.abort(left);
      controller ??= new AbortController();
      return controller.signal;
    },
  };
}

const left = new Error('The client is gone');

function route(protocol: Protocol, request: IncomingMessage, body: Buffer) {
  const url = request.url ?? '/';
  const queryAt = url.indexOf('?');
  const path = url.slice(protocol.base.length, queryAt === -1 ? undefined : queryAt);
  const method = request.method ?? 'GET';
  let captured: readonly string[] = [];
  const operation = protocol.operations.find(candidate => {
    if (candidate.method !== method) return false;
    const match = candidate.pattern.exec(path);
    if (match) captured = match.slice(1).map(part => decode(part ?? ''));
    return match !== null;
  });
  const apiRequest: ApiRequest = {
    method,
    path,
    query: queryAt === -1 ? noQuery : new URLSearchParams(url.slice(queryAt + 1)),
    headers: request.headers,
    body,
    captured,
  };
  return { apiRequest, operation };
}

const noQuery = new URLSearchParams();

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // Not percent-encoded text: it names nothing, as it is.
    return part;
  }
}

function answer(parts: {
  readonly protocol: Protocol;
  readonly operation: Operation | undefined;
  readonly apiRequest: ApiRequest;
  readonly desk: Desk;
  readonly acceptedKeys: ReadonlySet<string> | undefined;
  readonly requestFault: RequestFault;
}): Reply {
  const { protocol, operation, apiRequest, desk } = parts;
  try {
    if (parts.requestFault.mistake) throw new ApiError(400, parts.requestFault.mistake);
    protocol.authenticate(apiRequest, parts.acceptedKeys);
    if (!operation) throw protocol.unknownPath(apiRequest);
    return operation.handle(apiRequest, desk);
  } catch (error) {
    if (error instanceof ApiError) return protocol.renderError(error, desk);
    return protocol.renderError(new ApiError(500, `The simulator failed: ${(error as Error).message}`), desk);
  }
}

interface RequestFault {
  readonly fault: Fault | undefined;
  /** What is wrong with the header that asks for one. */
  readonly mistake: string | undefined;
  readonly model: string | undefined;
}

function createRequestFault(workshop: Workshop, protocol: Protocol, request: ApiRequest): RequestFault {
  const asked = headerOf(request.headers, 'x-sim-fault');
  let text: string | undefined;
  const body = () => (text ??= request.body.toString());
  const model = modelIn(request);
  try {
    const fault = asked === undefined ? undefined : workshop.faults.asked(asked);
    const facts = { protocol: protocol.name, model, path: request.path, body };
    return { fault: fault ?? workshop.faults.matching(facts), mistake: undefined, model };
  } catch (error) {
    return { fault: undefined, mistake: `x-sim-fault: ${(error as Error).message}`, model };
  }
}

/** The model as the path or the body names it, before anything is parsed. */
function modelIn(request: ApiRequest): string | undefined {
  const inPath = /\/models?\/([^/:]+)/.exec(request.path)?.[1];
  if (inPath !== undefined) return decode(inPath);
  const start = request.body.indexOf('"model"');
  if (start === -1) return undefined;
  return /^"model"\s*:\s*"([^"]*)"/.exec(request.body.toString('latin1', start, start + 300))?.[1];
}

function createDesk(workshop: Workshop, protocol: Protocol, requestFault: RequestFault): Desk {
  const models = workshop.models[protocol.name];
  return {
    ids: workshop.ids,
    clock: workshop.clock,
    stored: workshop.stored,
    model: name => models?.get(name),
    listModels: () => [...(models?.values() ?? [])],
    compose: conversation => compose(workshop, conversation, requestFault),
  };
}

function compose(workshop: Workshop, conversation: Conversation, requestFault: RequestFault): Composed {
  const answered = composeAnswer(conversation, workshop.cache);
  const text = answered.faults.join(';');
  if (text !== '') checkFault(text);
  const fault = text === '' ? undefined : workshop.faults.asked(text);
  const hidesUsage = (requestFault.fault ?? fault)?.hidesUsage ?? false;
  return { ...answered, fault, hidesUsage };
}

function checkFault(text: string): void {
  try {
    parseFault(text);
  } catch (error) {
    throw new ApiError(400, `[[fault]]: ${(error as Error).message}`);
  }
}

function paceOf(request: ApiRequest, pace: Pace): Pace {
  const ttftMs = headerOf(request.headers, 'x-sim-ttft-ms');
  const tokensPerSecond = headerOf(request.headers, 'x-sim-tokens-per-second');
  if (ttftMs === undefined && tokensPerSecond === undefined) return pace;
  return {
    ttftMs: Number(ttftMs) || (ttftMs === undefined ? pace.ttftMs : 0),
    tokensPerSecond: Number(tokensPerSecond) || pace.tokensPerSecond,
  };
}
