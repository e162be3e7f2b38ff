import * as z from 'zod';
import { defineProvider } from '../../domain/provider.ts';
import { bearerCredentials, noCredential } from '../credentials.ts';
import { openaiApis, openaiObjects, openaiRealtimeAccess, rerankAccess } from '../openai-apis.ts';
import { originOf } from '../origin.ts';
import { allowPrivateOption, apiKeyOption, baseUrlOption } from '../provider-options.ts';

/** Any server that speaks OpenAI Chat Completions: vLLM, SGLang, llama.cpp, Ollama, Groq, Together, DeepSeek, OpenRouter … */
export const openaiCompatible = defineProvider({
  type: 'openai-compatible',
  options: z.object({
    base_url: baseUrlOption().describe(
      'Address up to and with the version, such as `http://localhost:8000/v1`.',
    ),
    api_key: apiKeyOption()
      .optional()
      .describe('The key, sent as a bearer token. Many local servers need none.'),
    allow_private: allowPrivateOption(),
    vendor: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Whose prices hold for models without `prices`, as the price catalog names the vendor: `groq`, `together`, `deepseek`, `openrouter` …',
      ),
    lacks: z
      .array(z.enum(['json-schema', 'json-object', 'custom-tools']))
      .default([])
      .describe(
        'What the server has no mode for: an answer after a JSON schema, or in JSON at all, is then asked for as the call of one tool; custom tools as functions.',
      ),
    stream_usage: z
      .boolean()
      .default(true)
      .describe(
        'Whether the server takes `stream_options.include_usage`. Off: streams have no usage and no cost.',
      ),
  }),
  create: (options, { name }) => ({
    name,
    system: 'openai',
    vendor: options.vendor,
    origin: originOf({ name, baseUrl: options.base_url, allowPrivate: options.allow_private }),
    speaks: new Map([
      [
        'openai-chat',
        {
          path: () => '/chat/completions',
          mayAskStreamUsage: options.stream_usage,
          lacks: options.lacks,
        },
      ],
      ...openaiApis('', { streamUsage: options.stream_usage }),
      ...rerankAccess,
      ...openaiObjects(),
      openaiRealtimeAccess(),
    ]),
    headers: {},
    credentials: options.api_key === undefined ? noCredential : bearerCredentials(options.api_key),
  }),
});
