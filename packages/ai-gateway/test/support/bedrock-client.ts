import { BedrockRuntimeClient, type BedrockRuntimeClientConfig } from '@aws-sdk/client-bedrock-runtime';

/** The AWS SDK with the key of a gateway; what it says is asked once, unless `config` says otherwise. */
export function bedrockClient(
  server: { readonly url: string; readonly key: string },
  config: BedrockRuntimeClientConfig = {},
): BedrockRuntimeClient {
  return new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint: server.url,
    token: { token: server.key },
    authSchemePreference: ['httpBearerAuth'],
    maxAttempts: 1,
    ...config,
  });
}
