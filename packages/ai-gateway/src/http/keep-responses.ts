import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { Answer, AnswerStream, Call, StreamSink } from '../domain/call.ts';
import type { ConversationStore } from '../domain/conversation.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { lastMember } from '../domain/json-scan.ts';
import { ownerOf } from '../domain/owner.ts';
import type { ResponseStore } from '../domain/stored-response.ts';
import { continuationOf } from '../pipeline/continuations.ts';
import { type ConversationTurn, openTurn, type TurnDeps } from '../pipeline/conversation-turn.ts';
import { inputItems } from '../protocols/openai-responses/decode-request.ts';
import {
  readResponseEvents,
  restoreFrames,
  restoreResponse,
} from '../protocols/openai-responses/restore-response.ts';
import { asString, parseObject } from '../protocols/read-json.ts';

/** A request that is longer is not kept: it could not be sent in one request either. */
const maxStoredBytes = 32 * 1024 * 1024;

export interface KeepDeps extends TurnDeps {
  readonly responses: ResponseStore;
  readonly conversations: ConversationStore;
  readonly log: Logger;
}

/** One answer, and what is to become of it. */
interface Kept {
  readonly call: Call;
  readonly turn: ConversationTurn | undefined;
  /** Members of the response that say what its client asked for. */
  readonly restored: JsonObject | undefined;
}

/**
 * Keeps the answer before the client can have seen its end, so that it can go on at once.
 *
 * @throws GatewayError invalid_request (`conversation_locked`).
 */
export async function keepAnswer(deps: KeepDeps, call: Call, next: () => Promise<Answer>): Promise<Answer> {
  const { turn: wanted, restored } = continuationOf(call.request.body);
  const turn = wanted && (await openTurn(deps, ownerOf(call.caller), wanted));
  let answer: Answer;
  try {
    answer = await next();
  } catch (error) {
    turn?.close();
    throw error;
  }
  const isRestored = Object.keys(restored).length > 0;
  const kept = { call, turn, restored: isRestored ? restored : undefined };
  switch (answer.type) {
    case 'refusal':
      turn?.close();
      return answer;
    case 'stream':
      return wantsKeeping(kept) ? { ...answer, stream: keptStream(deps, kept, answer.stream) } : answer;
    case 'whole': {
      if (!wantsKeeping(kept)) return answer;
      const body = isRestored ? restoreResponse(answer.body, restored) : answer.body;
      await save(deps, kept, parseObject(body));
      turn?.close();
      return { ...answer, body };
    }
  }
}

function wantsKeeping({ call, turn, restored }: Kept): boolean {
  return wantsStore(call) || turn !== undefined || restored !== undefined;
}

function wantsStore({ request }: Call): boolean {
  const store = lastMember(request.scanned, 'store');
  return store === undefined || request.body[store.start] !== letterF;
}

const letterF = 0x66; // a scanned value that begins with `f` is `false`

/** A store that does not answer costs the continuation, never the answer that was paid for. */
async function save(deps: KeepDeps, { call, turn }: Kept, response: JsonObject | undefined): Promise<void> {
  const { responses, conversations, log } = deps;
  const id = asString(response?.id);
  if (response === undefined || id === undefined) return;
  const owner = ownerOf(call.caller);
  const end = turn?.end(response);
  try {
    if (wantsStore(call) && call.request.body.length <= maxStoredBytes) {
      // A request that names a prompt of the vendor's may have none.
      const input = inputItems(parseObject(call.request.body)?.input ?? []);
      await responses.save(owner, { id, response, input }, end);
    } else if (end !== undefined) {
      await conversations.endTurn(owner, end);
    }
  } catch (error) {
    log.warn({ err: error, requestId: call.requestId }, 'a response could not be kept');
  }
}

function keptStream(deps: KeepDeps, kept: Kept, stream: AnswerStream): AnswerStream {
  return {
    hasContent: stream.hasContent,
    onEnd: listener => stream.onEnd(listener),
    flow: sink => stream.flow(keptSink(sink, kept, response => save(deps, kept, response))),
  };
}

/** Holds the last bytes back until the answer is kept. Only whole events are written to a sink. */
function keptSink(
  sink: StreamSink,
  { restored, turn }: Kept,
  keep: (response: JsonObject) => Promise<void>,
): StreamSink {
  let saving: Promise<void> | undefined;
  const close = () => {
    turn?.close();
    sink.end();
  };
  return {
    write(written) {
      const bytes = restored === undefined ? written : restoreFrames(Buffer.from(written), restored);
      const response = saving === undefined ? endedResponse(bytes) : undefined;
      if (response === undefined) return sink.write(bytes);
      saving = keep(response).then(() => {
        sink.write(bytes);
      });
      return true;
    },
    end() {
      if (saving === undefined) close();
      else void saving.then(close);
    },
    onDrain: listener => sink.onDrain(listener),
    destroy: () => sink.destroy(),
  };
}

const terminals = ['response.completed', 'response.incomplete'];

function endedResponse(written: Buffer | string): JsonObject | undefined {
  const bytes = Buffer.from(written);
  if (!terminals.some(name => bytes.includes(name))) return undefined;
  return readResponseEvents(bytes).find(({ type }) => terminals.includes(type))?.response;
}
