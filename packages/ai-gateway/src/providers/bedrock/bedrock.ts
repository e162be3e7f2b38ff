import { secretString } from '@strata/shared/config/secret-string.ts';
import * as z from 'zod';
import { defineProvider, type ProtocolAccess } from '../../domain/provider.ts';
import { bearerCredentials, lazyCredential } from '../credentials.ts';
import { originOf } from '../origin.ts';
import { allowPrivateOption, apiKeyOption, baseUrlOption } from '../provider-options.ts';

const accessKey = z
  .strictObject({
    access_key_id: z.string().min(1).describe('Its id.'),
    secret_access_key: secretString().describe('Its secret.'),
    session_token: secretString().optional().describe('For temporary credentials.'),
  })
  .describe(
    "A fixed access key. Without it and without `api_key`, AWS's own chain is asked: environment, profile, web identity, container, instance.",
  );

/** What a signature covers is told in the open. */
const signed = { plainHeaders: new Set(['content-type', 'x-amz-date', 'x-amz-content-sha256']) };

const invokeAccess: ProtocolAccess = {
  path: ({ model, isStream }) =>
    `/model/${encodeURIComponent(model)}/${isStream ? 'invoke-with-response-stream' : 'invoke'}`,
  mayAskStreamUsage: false,
};

const accesses: Readonly<Record<'converse' | 'invoke', ReadonlyMap<string, ProtocolAccess>>> = {
  converse: new Map([
    [
      'bedrock-converse',
      {
        path: ({ model, isStream }) =>
          `/model/${encodeURIComponent(model)}/${isStream ? 'converse-stream' : 'converse'}`,
        countPath: model => `/model/${encodeURIComponent(model)}/count-tokens`,
        mayAskStreamUsage: false,
      },
    ],
    ['bedrock-invoke', invokeAccess],
  ]),
  invoke: new Map([
    ['anthropic-bedrock', invokeAccess],
    ['bedrock-invoke', invokeAccess],
  ]),
};

/** Amazon Bedrock: Converse, and InvokeModel for Claude. Signed requests, or a Bedrock API key. */
export const bedrock = defineProvider({
  type: 'bedrock',
  options: z.object({
    region: z
      .string()
      .regex(/^[a-z]{2}(-[a-z]+)+-\d$/)
      .describe('Such as `eu-central-1`.'),
    api_key: apiKeyOption().optional(),
    access_key: accessKey.optional(),
    api: z
      .enum(['converse', 'invoke'])
      .default('converse')
      .describe('`converse` for all models; `invoke` speaks the own protocol of Claude.'),
    profile: z.string().min(1).optional().describe('A profile of the shared AWS configuration.'),
    base_url: baseUrlOption()
      .optional()
      .describe('Address of the runtime API. By default that of the region.'),
    allow_private: allowPrivateOption(),
  }),
  create: (options, { name }) => {
    const { region, api_key, access_key, profile } = options;
    const baseUrl = options.base_url ?? `https://bedrock-runtime.${region}.amazonaws.com`;
    const signedCredential = () =>
      lazyCredential(async () => {
        const { createSigner } = await import('./signer.ts');
        return createSigner({ region, accessKey: access_key, profile });
      }, signed);
    return {
      name,
      system: 'aws.bedrock',
      vendor: 'amazon-bedrock',
      origin: originOf({ name, baseUrl, allowPrivate: options.allow_private }),
      speaks: accesses[options.api],
      headers: {},
      credentials: api_key === undefined ? signedCredential() : bearerCredentials(api_key),
    };
  },
});
