import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer, DialResponse, Origin } from '@strata/shared/http/dialer.ts';
import { envelopeHeader } from '@strata/shared/identity/envelope.ts';
import { noScopes } from '@strata/shared/identity/scopes.ts';
import { parseJson } from '@strata/shared/json/parse-json.ts';
import { attributes } from '@strata/shared/telemetry/semantic-conventions.ts';
import * as z from 'zod';
import type { CallContext, CallResult, Effect } from '../domain/effect.ts';
import { isBudgetReason, kindOfStatus, readBounded, retryAfterMsOf } from '../domain/upstream-refusal.ts';
import { contextExceeded, type ModelAnswer, questionRefused } from './conversation.ts';
import type { ModelCall } from './model-call.ts';
import { type ChatStream, readChatStream } from './read-chat-stream.ts';

const streamOverhead = 64;
const costHeader = 'x-strata-cost-nano-usd';

/** The gateway's own reason, and what a provider's refusal says that came through unchanged. */
const tooLongCodes = new Set(['context_too_long', 'context_length_exceeded']);

/** What no answer can have is no measure, and sums of it would be no integers any more. */
const tokens = z.int().min(0).max(1_000_000_000).catch(0);

/** Lenient: what is not read here may be anything. */
const answerSchema = z.looseObject({
  model: z.string().catch(''),
  choices: z
    .array(
      z.looseObject({
        finish_reason: z.string().nullish(),
        message: z.looseObject({
          content: z.string().nullish(),
          refusal: z.string().nullish().catch(null),
          tool_calls: z
            .array(
              z.looseObject({
                id: z.string().catch(''),
                function: z.object({ name: z.string(), arguments: z.string().catch('') }),
              }),
            )
            .nullish(),
        }),
      }),
    )
    .min(1),
  usage: z.looseObject({ prompt_tokens: tokens, completion_tokens: tokens }).nullish().catch(null),
});

const refusalSchema = z.object({
  error: z.object({
    message: z.string(),
    code: z.string().nullish(),
    details: z.record(z.string(), z.unknown()).catch({}).default({}),
  }),
});

export interface ModelEffectOptions {
  readonly dialer: Dialer;
  readonly settings: () => { readonly origin: Origin; readonly timeoutMs: number };
}

/** Questions to models, over ai-gateway's chat completions. The same key goes with every attempt at one question. */
export function createModelEffect({ dialer, settings }: ModelEffectOptions): Effect {
  return {
    type: 'llm',
    async perform(request, context) {
      const call = request as ModelCall; // planned by `call: agent`
      const { origin, timeoutMs } = settings();
      context.annotate({
        [attributes.operationName]: 'chat',
        [attributes.requestModel]: call.model,
        [attributes.agentName]: call.actor,
      });
      const response = await dialer.request(origin, {
        method: 'POST',
        path: '/v1/chat/completions',
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream, application/json',
          'x-strata-usage': 'comment',
          traceparent: context.traceparent,
          'idempotency-key': context.idempotencyKey,
          [envelopeHeader]: await context.envelope('ai-gateway', {
            actor: `agent:${call.actor}`,
            scopes: { ...noScopes, models: [call.model] },
          }),
        },
        body: JSON.stringify({
          model: call.model,
          messages: call.messages,
          ...(call.tools.length > 0 && { tools: call.tools }),
          ...(call.outputSchema !== undefined && { response_format: responseFormat(call.outputSchema) }),
          ...call.sampling,
          stream: true,
          stream_options: { include_usage: true },
        }),
        signal: context.signal,
        timeouts: { headersMs: timeoutMs, bodyMs: timeoutMs },
      });
      if (response.status !== 200)
        throw refusalOf(response, await readBounded(response.body, context.maxResultBytes));
      if (!String(response.headers['content-type']).startsWith('text/event-stream')) {
        const answer = parseOrNothing(await readBounded(response.body, context.maxResultBytes));
        return readAnswer({ answer, costNanoUsd: costOf(response) }, context);
      }
      const stream = readChatStream(response.body, {
        // A token of a stream is some two hundred bytes on the wire, and a few in the result.
        maxBytes: context.maxResultBytes * streamOverhead,
        onText: text => context.progress(text),
      });
      return readAnswer(await stream, context);
    },
  };
}

function responseFormat(schema: unknown) {
  return { type: 'json_schema', json_schema: { name: 'answer', schema } };
}

function readAnswer({ answer: given, costNanoUsd }: ChatStream, context: CallContext): CallResult {
  const parsed = answerSchema.safeParse(given);
  const choice = parsed.data?.choices[0];
  if (!parsed.success || choice === undefined) {
    throw new GatewayError('upstream_failed', 'The model gave an answer without a message.', {
      reason: 'model_answer_malformed',
      cause: parsed.error,
    });
  }
  const { message, finish_reason } = choice;
  const toolCalls = message.tool_calls ?? [];
  // Results are told apart by the ids of their calls, and models have given two calls the same, and none.
  const isOwn = (id: string, index: number) =>
    id !== '' && toolCalls.findIndex(each => each.id === id) === index;
  const answer: ModelAnswer = {
    message: {
      role: 'assistant',
      // What a model says when it will not answer is its answer.
      content: message.content ?? message.refusal ?? null,
      ...(toolCalls.length > 0 && {
        tool_calls: toolCalls.map(({ id, function: { name, arguments: input } }, index) => ({
          id: isOwn(id, index) ? id : `call_${index + 1}`,
          type: 'function',
          function: { name, arguments: input },
        })),
      }),
    },
    finishReason: finish_reason ?? 'unknown',
    model: parsed.data.model,
  };
  const usage = {
    inputTokens: parsed.data.usage?.prompt_tokens ?? 0,
    outputTokens: parsed.data.usage?.completion_tokens ?? 0,
  };
  context.annotate({
    [attributes.responseModel]: answer.model,
    [attributes.inputTokens]: usage.inputTokens,
    [attributes.outputTokens]: usage.outputTokens,
  });
  return { result: answer, usage, costNanoUsd };
}

/** Money is an integer or unknown, never zero by mistake ($-2). */
function costOf(response: DialResponse): bigint | undefined {
  const header = response.headers[costHeader];
  return typeof header === 'string' && /^[0-9]{1,18}$/.test(header) ? BigInt(header) : undefined;
}

function refusalOf(response: DialResponse, bytes: Buffer): GatewayError {
  const { status } = response;
  const refusal = refusalSchema.safeParse(parseOrNothing(bytes));
  const code = refusal.data?.error.code ?? null;
  const retryAfterMs = retryAfterMsOf(response.headers['retry-after']);
  return new GatewayError(
    kindOfStatus(status),
    refusal.success
      ? `The model call was refused: ${refusal.data.error.message}`
      : `The model call was refused with status ${status}.`,
    {
      reason: reasonOf(code, status),
      details: { ...refusal.data?.error.details, upstream_status: status, upstream_reason: code },
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    },
  );
}

function reasonOf(code: string | null, status: number): string {
  if (code !== null && tooLongCodes.has(code)) return contextExceeded;
  if (isBudgetReason(code)) return code;
  return status === 400 || status === 422 ? questionRefused : 'model_call_refused';
}

function parseOrNothing(bytes: Buffer): unknown {
  try {
    return parseJson(bytes);
  } catch {
    return undefined; // a refusal that is not JSON still has its status
  }
}
