import type { ProtocolAccess } from '../../domain/provider.ts';

/** `model:method`, always as events where it streams. */
export function geminiMethod({
  model,
  isStream,
}: {
  readonly model: string;
  readonly isStream: boolean;
}): string {
  const name = encodeURIComponent(model);
  return isStream ? `${name}:streamGenerateContent?alt=sse` : `${name}:generateContent`;
}

const methods = {
  'gemini-embed': 'embedContent',
  'gemini-batch-embed': 'batchEmbedContents',
  'gemini-predict': 'predict',
} as const;

/** The methods beside answering, below `models`. */
export function passedMethodAccess(
  models: string,
  protocols: readonly (keyof typeof methods)[],
): readonly (readonly [string, ProtocolAccess])[] {
  return protocols.map(protocol => [
    protocol,
    {
      path: ({ model }) => `${models}/${encodeURIComponent(model)}:${methods[protocol]}`,
      mayAskStreamUsage: false,
    },
  ]);
}
