import type { CreateEmbeddingResponse } from 'openai/resources/embeddings';
import * as z from 'zod';
import { type ApiRequest, type Desk, jsonReply, type WholeReply } from '../http/protocol.ts';
import { hash32 } from '../model/ids.ts';
import { countTokens } from '../model/tokens.ts';
import { openaiHeaders } from './headers.ts';
import { modelOf, parseBody } from './parse.ts';

const tokenIds = z.array(z.int().min(0)).min(1);

const schema = z.strictObject({
  model: z.string(),
  input: z.union([
    z.string().min(1),
    z.array(z.string().min(1)).min(1).max(2048),
    tokenIds,
    z.array(tokenIds),
  ]),
  dimensions: z.int().min(1).max(3072).optional(),
  encoding_format: z.enum(['float', 'base64']).optional(),
  user: z.string().optional(),
});

/** `POST /v1/embeddings`. Texts that share words have vectors that are near each other. */
export function createEmbeddings(request: ApiRequest, desk: Desk): WholeReply {
  const body = parseBody(request.body, schema);
  const model = modelOf(body.model, desk, 'embedding');
  const inputs = inputsOf(body.input);
  const dimensions = body.dimensions ?? (model.id.endsWith('large') ? 3072 : 1536);
  const inputTokens = inputs.reduce((sum, { tokens }) => sum + tokens, 0);
  const data = inputs.map(({ text }, index) => {
    const vector = embed(text, dimensions);
    // The SDK asks for base64 and decodes it; the type says `number[]` because callers never see it.
    const embedding = (body.encoding_format === 'base64' ? toBase64(vector) : vector) as number[];
    return { object: 'embedding' as const, index, embedding };
  });
  const answer: CreateEmbeddingResponse = {
    object: 'list',
    data,
    model: model.id,
    usage: { prompt_tokens: inputTokens, total_tokens: inputTokens },
  };
  const usage = {
    inputTokens,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    cacheTtl: '5m' as const,
    outputTokens: 0,
    thinkingTokens: 0,
  };
  return jsonReply(answer, openaiHeaders(desk), { billing: { model: model.id, usage } });
}

function inputsOf(input: z.output<typeof schema>['input']): { text: string; tokens: number }[] {
  if (typeof input === 'string') return [{ text: input, tokens: countTokens(input) }];
  if (typeof input[0] === 'number') return [{ text: input.join(' '), tokens: input.length }];
  return input.map(item =>
    typeof item === 'string'
      ? { text: item, tokens: countTokens(item) }
      : { text: String(item).replaceAll(',', ' '), tokens: Array.isArray(item) ? item.length : 1 },
  );
}

/** Each word pulls on eight dimensions; the sum has length 1. */
export function embed(text: string, dimensions: number): number[] {
  const vector = new Array<number>(dimensions).fill(0);
  for (const word of text.toLowerCase().split(/\W+/).filter(Boolean)) {
    for (let pull = 0; pull < 8; pull++) {
      const hash = hash32(`${pull}:${word}`);
      const at = hash % dimensions;
      vector[at] = (vector[at] ?? 0) + (hash & 0x10000 ? 1 : -1);
    }
  }
  const length = Math.hypot(...vector) || 1;
  return vector.map(value => value / length);
}

function toBase64(vector: readonly number[]): string {
  return Buffer.from(Float32Array.from(vector).buffer).toString('base64');
}
