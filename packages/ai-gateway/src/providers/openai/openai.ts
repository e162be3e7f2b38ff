import * as z from 'zod';
import { defineProvider, type ProtocolAccess } from '../../domain/provider.ts';
import { bearerCredentials } from '../credentials.ts';
import { openaiApis, openaiCompactAccess, openaiObjects, openaiRealtimeAccess } from '../openai-apis.ts';
import { originOf } from '../origin.ts';
import { allowPrivateOption, apiKeyOption, baseUrlOption } from '../provider-options.ts';

/** Responses comes first by default: it alone can give reasoning back to the model. */
const accesses: Readonly<Record<'responses' | 'chat', readonly [string, ProtocolAccess]>> = {
  responses: [
    'openai-responses',
    { path: () => '/responses', countPath: () => '/responses/input_tokens', mayAskStreamUsage: true },
  ],
  chat: ['openai-chat', { path: () => '/chat/completions', mayAskStreamUsage: true }],
};

export const openai = defineProvider({
  type: 'openai',
  options: z.object({
    api_key: apiKeyOption(),
    base_url: baseUrlOption()
      .default('https://api.openai.com/v1')
      .describe('Address of the API, up to and with the version.'),
    organization: z.string().min(1).optional().describe('Organization the requests are counted to.'),
    project: z.string().min(1).optional().describe('Project the requests are counted to.'),
    apis: z
      .array(z.enum(['responses', 'chat']))
      .min(1)
      .default(['responses', 'chat'])
      .describe(
        'Which APIs the models of this account may be asked by, the preferred first. `[responses]` for models that Chat Completions does not have.',
      ),
    allow_private: allowPrivateOption(),
  }),
  create: (options, { name }) => ({
    name,
    system: 'openai',
    vendor: 'openai',
    origin: originOf({ name, baseUrl: options.base_url, allowPrivate: options.allow_private }),
    speaks: new Map([
      ...options.apis.map(api => accesses[api]),
      ...(options.apis.includes('responses') ? [openaiCompactAccess()] : []),
      ...openaiApis(),
      ...openaiObjects(),
      openaiRealtimeAccess(),
    ]),
    headers: {
      ...(options.organization !== undefined && { 'openai-organization': options.organization }),
      ...(options.project !== undefined && { 'openai-project': options.project }),
    },
    credentials: bearerCredentials(options.api_key),
  }),
});
