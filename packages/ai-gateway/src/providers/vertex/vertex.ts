import * as z from 'zod';
import { defineProvider, type ProtocolAccess } from '../../domain/provider.ts';
import { keyCredentials, lazyCredential } from '../credentials.ts';
import { geminiMethod, passedMethodAccess } from '../gemini/gemini-path.ts';
import { originOf } from '../origin.ts';
import { allowPrivateOption, apiKeyOption, baseUrlOption } from '../provider-options.ts';

/** Models on Google Vertex AI, of Google or of Anthropic. With Google's own credentials, or with an API key. */
export const vertex = defineProvider({
  type: 'vertex',
  options: z.object({
    project: z
      .string()
      .regex(/^[a-z0-9.:-]+$/)
      .describe('Id of the project.'),
    location: z
      .string()
      .regex(/^[a-z0-9-]+$/)
      .default('global')
      .describe('Such as `europe-west4`.'),
    publisher: z
      .enum(['google', 'anthropic'])
      .default('google')
      .describe(
        "Whose models the account is used for: `google` speaks Gemini's protocol, `anthropic` Anthropic's.",
      ),
    credentials_file: z
      .string()
      .min(1)
      .optional()
      .describe(
        "A service account's key file. Without it Google's own chain is asked: environment, gcloud, metadata server.",
      ),
    api_key: apiKeyOption().optional(),
    base_url: baseUrlOption()
      .optional()
      .describe('Address of the API, without the version. By default that of the location.'),
    allow_private: allowPrivateOption(),
  }),
  create: (options, { name }) => {
    const { project, location, publisher, credentials_file, api_key } = options;
    const host =
      location === 'global' ? 'aiplatform.googleapis.com' : `${location}-aiplatform.googleapis.com`;
    const models = `/v1/projects/${project}/locations/${location}/publishers/${publisher}/models`;
    return {
      name,
      system: 'gcp.vertex_ai',
      vendor: publisher === 'google' ? 'google' : 'anthropic',
      origin: originOf({
        name,
        baseUrl: options.base_url ?? `https://${host}`,
        allowPrivate: options.allow_private,
      }),
      speaks: publisher === 'google' ? googleAccess(models) : anthropicAccess(models),
      headers: {},
      credentials:
        api_key === undefined
          ? lazyCredential(async () =>
              (await import('./google-token.ts')).createGoogleAuthorize(credentials_file),
            )
          : keyCredentials(api_key, key => ({ 'x-goog-api-key': key })),
    };
  },
});

function googleAccess(models: string): ReadonlyMap<string, ProtocolAccess> {
  return new Map([
    [
      'gemini',
      {
        path: request => `${models}/${geminiMethod(request)}`,
        countPath: model => `${models}/${encodeURIComponent(model)}:countTokens`,
        countsBare: true,
        mayAskStreamUsage: false,
      },
    ],
    ...passedMethodAccess(models, ['gemini-embed', 'gemini-predict']),
  ]);
}

function anthropicAccess(models: string): ReadonlyMap<string, ProtocolAccess> {
  return new Map([
    [
      'anthropic-vertex',
      {
        path: ({ model, isStream }) =>
          `${models}/${encodeURIComponent(model)}:${isStream ? 'streamRawPredict' : 'rawPredict'}`,
        countPath: () => `${models}/count-tokens:rawPredict`,
        mayAskStreamUsage: false,
      },
    ],
  ]);
}
