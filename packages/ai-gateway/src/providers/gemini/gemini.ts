import * as z from 'zod';
import { defineProvider } from '../../domain/provider.ts';
import { keyCredentials } from '../credentials.ts';
import { originOf } from '../origin.ts';
import { allowPrivateOption, apiKeyOption, baseUrlOption } from '../provider-options.ts';
import { geminiMethod, passedMethodAccess } from './gemini-path.ts';

/** The Gemini Developer API. */
export const gemini = defineProvider({
  type: 'gemini',
  options: z.object({
    api_key: apiKeyOption(),
    base_url: baseUrlOption()
      .default('https://generativelanguage.googleapis.com/v1beta')
      .describe('Address of the API, up to and with the version.'),
    allow_private: allowPrivateOption(),
  }),
  create: (options, { name }) => ({
    name,
    system: 'gcp.gemini',
    vendor: 'google',
    origin: originOf({ name, baseUrl: options.base_url, allowPrivate: options.allow_private }),
    speaks: new Map([
      [
        'gemini',
        {
          path: request => `/models/${geminiMethod(request)}`,
          countPath: model => `/models/${encodeURIComponent(model)}:countTokens`,
          mayAskStreamUsage: false,
        },
      ],
      ...passedMethodAccess('/models', ['gemini-embed', 'gemini-batch-embed', 'gemini-predict']),
    ]),
    headers: {},
    credentials: keyCredentials(options.api_key, key => ({ 'x-goog-api-key': key })),
  }),
});
