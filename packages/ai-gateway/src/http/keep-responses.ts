import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { SseScanner } from '@strata/shared/http/sse-scanner.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { Answer, AnswerStream, Call, StreamSink } from '../domain/call.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { lastMember } from '../domain/json-scan.ts';
import type { Owner, ResponseStore } from '../domain/stored-response.ts';
import { inputItems } from '../protocols/openai-responses/decode-request.ts';
import { asObject, asObjects, asString, parseObject } from '../protocols/read-json.ts';

/** A conversation that is longer is not kept: it could not be sent in one request either. */
const maxStoredBytes = 32 * 1024 * 1024;

export function ownerOf({ tenant, principal }: Caller): Owner {
  return { tenant, principal };
}

/**
 * The request with all that came before it, so that `previous_response_id` works with any upstream: none of them is asked to
 * remember anything.
 *
 * @throws GatewayError not_found (`previous_response_not_found`), invalid_request for what the gateway cannot keep.
 */
export async function withHistory(store: ResponseStore, owner: Owner, body: Buffer): Promise<Buffer> {
  if (!mayNeedStore(body)) return body;
  const request = parseObject(body);
  if (request === undefined) return body; // refused with a better word where it is read
  refuseUnkept(request);
  const id = asString(request.previous_response_id);
  if (id === undefined) return body;
  const earlier = await store.find(owner, id);
  if (earlier === undefined) {
    throw new GatewayError('not_found', `There is no previous response '${id.slice(0, 200)}' for this key.`, {
      reason: 'previous_response_not_found',
      param: 'previous_response_id',
    });
  }
  const answered = asObjects(earlier.response.output).filter(isPortable);
  const input = [...earlier.input, ...answered, ...inputItems(request.input)];
  return Buffer.from(JSON.stringify({ ...request, input }));
}

function mayNeedStore(body: Buffer): boolean {
  return ['"previous_response_id"', '"background"', '"conversation"'].some(name => body.includes(name));
}

function refuseUnkept(request: JsonObject): void {
  const member =
    request.background === true ? 'background' : request.conversation ? 'conversation' : undefined;
  if (member === undefined) return;
  throw new GatewayError('invalid_request', `The gateway does not offer '${member}'. Leave it out.`, {
    reason: 'responses_feature_unsupported',
    param: member,
  });
}

/** Reasoning without its encrypted content is a reference to what only the answering account remembers. */
function isPortable(item: JsonObject): boolean {
  return item.type !== 'reasoning' || typeof item.encrypted_content === 'string';
}

export interface KeepDeps {
  readonly store: ResponseStore;
  readonly log: Logger;
}

/** Keeps the answer before the client can have seen its end, so that it can go on at once. */
export async function keepAnswer(deps: KeepDeps, call: Call, answer: Answer): Promise<Answer> {
  if (!wantsStore(call) || answer.type === 'refusal') return answer;
  if (answer.type === 'stream') return { ...answer, stream: keptStream(deps, call, answer.stream) };
  await save(deps, call, parseObject(answer.body));
  return answer;
}

function wantsStore({ request }: Call): boolean {
  const store = lastMember(request.scanned, 'store');
  return store === undefined || request.body[store.start] !== letterF;
}

const letterF = 0x66; // a scanned value that begins with `f` is `false`

/** A store that does not answer costs the continuation, never the answer that was paid for. */
async function save({ store, log }: KeepDeps, call: Call, response: JsonObject | undefined): Promise<void> {
  const id = asString(response?.id);
  if (response === undefined || id === undefined || call.request.body.length > maxStoredBytes) return;
  try {
    const input = inputItems(parseObject(call.request.body)?.input);
    await store.save(ownerOf(call.caller), { id, response, input });
  } catch (error) {
    log.warn({ err: error, requestId: call.requestId }, 'a response could not be kept');
  }
}

function keptStream(deps: KeepDeps, call: Call, stream: AnswerStream): AnswerStream {
  return {
    hasContent: stream.hasContent,
    onEnd: listener => stream.onEnd(listener),
    flow: sink => stream.flow(keptSink(sink, response => save(deps, call, response))),
  };
}

/** Holds the last bytes back until the answer is kept. Only whole events are written to a sink. */
function keptSink(sink: StreamSink, keep: (response: JsonObject) => Promise<void>): StreamSink {
  let saving: Promise<void> | undefined;
  return {
    write(bytes) {
      const response = saving === undefined ? endedResponse(bytes) : undefined;
      if (response === undefined) return sink.write(bytes);
      saving = keep(response).then(() => {
        sink.write(bytes);
      });
      return true;
    },
    end() {
      if (saving === undefined) sink.end();
      else void saving.then(() => sink.end());
    },
    onDrain: listener => sink.onDrain(listener),
    destroy: () => sink.destroy(),
  };
}

const terminals = ['response.completed', 'response.incomplete'];

function endedResponse(written: Buffer | string): JsonObject | undefined {
  const bytes = Buffer.from(written);
  if (!terminals.some(name => bytes.includes(name))) return undefined;
  for (const frame of new SseScanner().push(bytes)) {
    const data = frame.dataBytes();
    const event = data && parseObject(data);
    if (event !== undefined && terminals.includes(asString(event.type) ?? ''))
      return asObject(event.response);
  }
  return undefined;
}
