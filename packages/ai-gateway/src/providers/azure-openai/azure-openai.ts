import * as z from 'zod';
import { defineProvider, type ProtocolAccess } from '../../domain/provider.ts';
import { keyCredentials, lazyCredential } from '../credentials.ts';
import { openaiApis, openaiCompactAccess, openaiObjects, openaiRealtimeAccess } from '../openai-apis.ts';
import { originOf } from '../origin.ts';
import { allowPrivateOption, apiKeyOption, baseUrlOption } from '../provider-options.ts';

/** Azure OpenAI: models are deployments. With a key, or with an identity of Entra. */
export const azureOpenai = defineProvider({
  type: 'azure-openai',
  options: z.object({
    base_url: baseUrlOption().describe(
      'Address of the resource, such as `https://my-resource.openai.azure.com`.',
    ),
    api_key: apiKeyOption().optional(),
    api_version: z
      .string()
      .regex(/^\d{4}-\d{2}-\d{2}(-preview)?$/)
      .optional()
      .describe(
        'For resources without the v1 API: deployments are addressed by path then, and Responses are not spoken.',
      ),
    tenant_id: z
      .string()
      .min(1)
      .optional()
      .describe('Entra tenant, when it is not the one of the environment.'),
    allow_private: allowPrivateOption(),
  }),
  create: (options, { name }) => ({
    name,
    system: 'azure.ai.openai',
    vendor: 'openai',
    origin: originOf({ name, baseUrl: options.base_url, allowPrivate: options.allow_private }),
    speaks: options.api_version === undefined ? v1Access : deploymentAccess(options.api_version),
    headers: {},
    credentials:
      options.api_key === undefined
        ? lazyCredential(async () => (await import('./entra.ts')).createEntraAuthorize(options.tenant_id))
        : keyCredentials(options.api_key, key => ({ 'api-key': key })),
  }),
});

const v1Access: ReadonlyMap<string, ProtocolAccess> = new Map([
  ['openai-responses', { path: () => '/openai/v1/responses', mayAskStreamUsage: true }],
  ['openai-chat', { path: () => '/openai/v1/chat/completions', mayAskStreamUsage: true }],
  openaiCompactAccess('/openai/v1'),
  ...openaiApis('/openai/v1'),
  ...openaiObjects('/openai/v1'),
  openaiRealtimeAccess('/openai/v1'),
]);

function deploymentAccess(version: string): ReadonlyMap<string, ProtocolAccess> {
  return new Map([
    [
      'openai-chat',
      {
        path: ({ model }) =>
          `/openai/deployments/${encodeURIComponent(model)}/chat/completions?api-version=${version}`,
        mayAskStreamUsage: true,
      },
    ],
  ]);
}
