import * as z from 'zod';
import { ApiError, type ApiRequest, type Desk, jsonReply, type WholeReply } from '../http/protocol.ts';

const rerankRequest = z.strictObject({
  model: z.string().min(1),
  query: z.string().min(1),
  documents: z.array(z.string()).min(1).max(1000),
  top_n: z.int().min(1).optional(),
  max_tokens_per_doc: z.int().min(1).optional(),
  priority: z.int().optional(),
});

/** `POST /v2/rerank`: more shared words are more relevant. */
export function rerank(request: ApiRequest, desk: Desk): WholeReply {
  const result = rerankRequest.safeParse(parse(request.body));
  if (!result.success) throw new ApiError(422, `invalid request: ${result.error.issues[0]?.message}`);
  const { model, query, documents, top_n = documents.length } = result.data;
  if (desk.model(model) === undefined) throw new ApiError(404, `model '${model}' not found`);
  const words = wordsOf(query);
  const results = documents
    .map((text, index) => ({ index, relevance_score: overlap(words, wordsOf(text)) }))
    .sort((left, right) => right.relevance_score - left.relevance_score || left.index - right.index)
    .slice(0, top_n);
  return jsonReply({ id: desk.ids.next('', 36), results, meta: { billed_units: { search_units: 1 } } }, {});
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    throw new ApiError(400, 'invalid request: the body is not valid JSON');
  }
}

function wordsOf(text: string): ReadonlySet<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
}

function overlap(query: ReadonlySet<string>, words: ReadonlySet<string>): number {
  const shared = [...query].filter(word => words.has(word)).length;
  return query.size === 0 ? 0 : shared / query.size;
}
