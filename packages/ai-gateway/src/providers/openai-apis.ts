import type { ProtocolAccess } from '../domain/provider.ts';

const paths: readonly (readonly [protocol: string, path: string])[] = [
  ['openai-embeddings', '/embeddings'],
  ['openai-moderations', '/moderations'],
  ['openai-images', '/images/generations'],
  ['openai-image-edits', '/images/edits'],
  ['openai-image-variations', '/images/variations'],
  ['openai-speech', '/audio/speech'],
  ['openai-transcriptions', '/audio/transcriptions'],
  ['openai-translations', '/audio/translations'],
];

/** Sessions over WebSocket, of those who have them. The path names the model. */
export function openaiRealtimeAccess(prefix = ''): readonly [string, ProtocolAccess] {
  return [
    'openai-realtime',
    {
      path: ({ model }) => `${prefix}/realtime?model=${encodeURIComponent(model)}`,
      method: 'GET',
      mayAskStreamUsage: false,
    },
  ];
}

/** Files and batches, of those who have them. */
export function openaiObjects(prefix = ''): readonly (readonly [string, ProtocolAccess])[] {
  return [
    ['openai-files', { path: () => `${prefix}/files`, mayAskStreamUsage: false }],
    ['openai-batches', { path: () => `${prefix}/batches`, mayAskStreamUsage: false }],
  ];
}

/** The APIs beside chat that whoever is like OpenAI has below the same address. */
export function openaiApis(
  prefix = '',
  { streamUsage = true }: { readonly streamUsage?: boolean } = {},
): readonly (readonly [string, ProtocolAccess])[] {
  return [
    ['openai-completions', { path: () => `${prefix}/completions`, mayAskStreamUsage: streamUsage }],
    ...paths.map(
      ([protocol, path]) => [protocol, { path: () => `${prefix}${path}`, mayAskStreamUsage: false }] as const,
    ),
  ];
}

/** Reranking, of servers and vendors that have it beside what OpenAI has: with the bodies that Cohere, Jina and Voyage agree on. */
export const rerankAccess: readonly (readonly [string, ProtocolAccess])[] = ['rerank', 'cohere-rerank'].map(
  protocol => [protocol, { path: () => '/rerank', mayAskStreamUsage: false }],
);

/** Of those who have Responses. */
export function openaiCompactAccess(prefix = ''): readonly [string, ProtocolAccess] {
  return ['openai-compact', { path: () => `${prefix}/responses/compact`, mayAskStreamUsage: false }];
}
