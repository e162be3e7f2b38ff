import type { Lack } from '../../domain/codec.ts';

/** What is different about a vendor whose API is like OpenAI's. */
export interface Preset {
  /** The `type` in the configuration. */
  readonly type: string;
  readonly title: string;
  /** Up to and with the version. */
  readonly baseUrl: string;
  /** Whose prices hold, as the price catalog names the vendor; absent for servers that cost nothing by the token. */
  readonly vendor?: string;
  /** Whether streams take `stream_options.include_usage`. */
  readonly streamUsage: boolean;
  /** Whether it asks for a key. */
  readonly needsKey: boolean;
  /** Whether it has files and batches as OpenAI does. */
  readonly hasBatches?: boolean;
  /** Whether it has reranking. */
  readonly hasRerank?: boolean;
  /** Whether it usually runs on the machine or the network of the gateway. */
  readonly isLocal?: boolean;
  /** Parameters by the name that the vendor has for them. */
  readonly renames: Readonly<Record<string, string>>;
  /** Parameters that the vendor refuses. */
  readonly refuses: readonly string[];
  /** The vendor takes only ids of tool calls that are this many letters and digits. */
  readonly toolCallIdLength?: number;
  /** What it has no mode for and gets said in another way: a JSON answer as the call of one tool. */
  readonly lacks?: readonly Lack[];
}

const maxTokens = { max_completion_tokens: 'max_tokens' };
const openaiOnly = ['verbosity', 'prompt_cache_key', 'service_tier', 'metadata'];
const hosted = { streamUsage: true, needsKey: true } as const;
const local = {
  streamUsage: true,
  needsKey: false,
  isLocal: true,
  renames: maxTokens,
  refuses: openaiOnly,
  lacks: ['custom-tools'],
} as const;

/** Quirks are data: a new vendor is a line here. */
export const presets = [
  {
    ...hosted,
    type: 'groq',
    title: 'Groq',
    baseUrl: 'https://api.groq.com/openai/v1',
    vendor: 'groq',
    hasBatches: true,
    renames: {},
    refuses: ['verbosity', 'prompt_cache_key', 'metadata'],
    lacks: ['custom-tools'],
  },
  {
    ...hosted,
    type: 'xai',
    title: 'xAI',
    baseUrl: 'https://api.x.ai/v1',
    vendor: 'xai',
    renames: {},
    refuses: ['verbosity', 'metadata', 'service_tier'],
    lacks: ['custom-tools'],
  },
  {
    ...hosted,
    type: 'deepseek',
    title: 'DeepSeek',
    baseUrl: 'https://api.deepseek.com/v1',
    vendor: 'deepseek',
    renames: maxTokens,
    refuses: [...openaiOnly, 'parallel_tool_calls', 'seed', 'user'],
    lacks: ['json-schema', 'custom-tools'],
  },
  {
    ...hosted,
    type: 'mistral',
    title: 'Mistral',
    baseUrl: 'https://api.mistral.ai/v1',
    vendor: 'mistral',
    streamUsage: false,
    renames: { ...maxTokens, seed: 'random_seed' },
    toolCallIdLength: 9,
    lacks: ['custom-tools'],
    refuses: [...openaiOnly, 'user', 'reasoning_effort'],
  },
  {
    ...hosted,
    type: 'together',
    title: 'Together',
    hasRerank: true,
    baseUrl: 'https://api.together.xyz/v1',
    vendor: 'together',
    renames: maxTokens,
    refuses: openaiOnly,
    lacks: ['custom-tools'],
  },
  {
    ...hosted,
    type: 'fireworks',
    title: 'Fireworks',
    hasRerank: true,
    baseUrl: 'https://api.fireworks.ai/inference/v1',
    vendor: 'fireworks',
    renames: maxTokens,
    refuses: ['verbosity', 'prompt_cache_key', 'service_tier'],
    lacks: ['custom-tools'],
  },
  {
    ...hosted,
    type: 'openrouter',
    title: 'OpenRouter',
    hasRerank: true,
    baseUrl: 'https://openrouter.ai/api/v1',
    vendor: 'openrouter',
    renames: {},
    refuses: ['prompt_cache_key', 'metadata'],
    lacks: ['custom-tools'],
  },
  {
    ...hosted,
    type: 'cerebras',
    title: 'Cerebras',
    baseUrl: 'https://api.cerebras.ai/v1',
    vendor: 'cerebras',
    renames: {},
    refuses: openaiOnly,
    lacks: ['custom-tools'],
  },
  {
    ...hosted,
    type: 'perplexity',
    title: 'Perplexity',
    baseUrl: 'https://api.perplexity.ai',
    vendor: 'perplexity',
    renames: maxTokens,
    refuses: [...openaiOnly, 'seed', 'user', 'parallel_tool_calls'],
    lacks: ['custom-tools'],
  },
  { ...local, type: 'ollama', title: 'Ollama', baseUrl: 'http://127.0.0.1:11434/v1' },
  { ...local, type: 'vllm', hasRerank: true, title: 'vLLM', baseUrl: 'http://127.0.0.1:8000/v1' },
  { ...local, type: 'sglang', hasRerank: true, title: 'SGLang', baseUrl: 'http://127.0.0.1:30000/v1' },
  { ...local, type: 'llama-cpp', hasRerank: true, title: 'llama.cpp', baseUrl: 'http://127.0.0.1:8080/v1' },
  { ...local, type: 'lm-studio', title: 'LM Studio', baseUrl: 'http://127.0.0.1:1234/v1' },
] as const satisfies readonly Preset[];
