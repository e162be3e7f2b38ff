import type { ModelEntry, ProtocolName } from './http/protocol.ts';

const chat = (reasoning: ModelEntry['reasoning'], ...ids: string[]): ModelEntry[] =>
  ids.map(id => ({ id, reasoning, kind: 'chat', maxOutputTokens: 128_000 }));

const embedding = (...ids: string[]): ModelEntry[] =>
  ids.map(id => ({ id, reasoning: 'none', kind: 'embedding', maxOutputTokens: 0 }));

const claude = [
  'claude-opus-5-5',
  'claude-sonnet-5-5',
  'claude-haiku-5-5',
  'claude-opus-5',
  'claude-sonnet-5',
  'claude-opus-4-8',
  'claude-opus-4-5',
  'claude-opus-4-5-20251101',
  'claude-sonnet-4-6',
  'claude-sonnet-4-5',
  'claude-sonnet-4-5-20250929',
  'claude-haiku-4-5',
  'claude-haiku-4-5-20251001',
];

/** The models that each API has unless more are given. `sim-model` is everywhere. */
const builtIn: Readonly<Record<ProtocolName, readonly ModelEntry[]>> = {
  openai: [
    ...chat(
      'hidden',
      'gpt-6-sol',
      'gpt-6-luna',
      'gpt-5.5',
      'gpt-5.4',
      'gpt-5.4-mini',
      'gpt-5.4-nano',
      'gpt-5.2',
    ),
    ...chat('hidden', 'gpt-5.1', 'gpt-5', 'gpt-5-mini', 'gpt-5-nano', 'o3', 'o3-mini', 'o4-mini'),
    ...chat('none', 'gpt-4.1', 'gpt-4.1-mini', 'gpt-4.1-nano', 'gpt-4o', 'gpt-4o-mini', 'gpt-4o-2024-08-06'),
    ...chat('none', 'gpt-4-turbo', 'gpt-3.5-turbo', 'sim-model'),
    // As vendors do whose API is like OpenAI's and who show what the model thinks.
    ...chat('shown', 'deepseek-reasoner', 'sim-reasoner'),
    ...embedding('text-embedding-3-small', 'text-embedding-3-large', 'text-embedding-ada-002'),
  ],
  anthropic: chat('shown', ...claude, 'sim-model'),
  gemini: [
    ...chat(
      'shown',
      'gemini-3.1-pro-preview',
      'gemini-3-pro-preview',
      'gemini-3-flash-preview',
      'gemini-3-flash',
    ),
    ...chat('shown', 'gemini-2.5-pro', 'gemini-2.5-flash', 'gemini-2.5-flash-lite'),
    ...chat('none', 'gemini-2.0-flash', 'sim-model'),
  ],
  bedrock: [
    ...chat('shown', ...claude.map(id => `anthropic.${id}`)),
    ...chat(
      'shown',
      'anthropic.claude-sonnet-4-5-20250929-v1:0',
      'us.anthropic.claude-sonnet-4-5-20250929-v1:0',
    ),
    ...chat(
      'shown',
      'anthropic.claude-haiku-4-5-20251001-v1:0',
      'us.anthropic.claude-haiku-4-5-20251001-v1:0',
    ),
    ...chat('none', 'amazon.nova-pro-v1:0', 'amazon.nova-lite-v1:0', 'us.amazon.nova-pro-v1:0', 'sim-model'),
  ],
  cohere: [
    ...chat('shown', 'command-a-reasoning-08-2025'),
    ...chat('none', 'command-a-03-2025', 'rerank-v4.0-pro', 'sim-model'),
  ],
};

export type ModelLists = Readonly<Record<ProtocolName, ReadonlyMap<string, ModelEntry>>>;

/** The built-in models and `extra` ones, which every API then has. */
export function createModelLists(extra: readonly string[] = []): ModelLists {
  const listOf = (name: ProtocolName) =>
    new Map([...builtIn[name], ...chat('none', ...extra)].map(model => [model.id, model]));
  return {
    openai: listOf('openai'),
    anthropic: listOf('anthropic'),
    gemini: listOf('gemini'),
    bedrock: listOf('bedrock'),
    cohere: listOf('cohere'),
  };
}
