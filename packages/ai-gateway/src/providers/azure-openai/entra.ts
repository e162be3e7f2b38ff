import { DefaultAzureCredential, getBearerTokenProvider } from '@azure/identity';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Credential } from '../../domain/provider.ts';

const scope = 'https://cognitiveservices.azure.com/.default';

/** Tokens of Entra, from the places Azure's own library looks; it keeps them and fetches the next in time. */
export function createEntraAuthorize(tenantId: string | undefined): Credential['authorize'] {
  const credential = new DefaultAzureCredential(tenantId === undefined ? {} : { tenantId });
  // The credential itself may ask for a token each time; its provider keeps one.
  const provide = getBearerTokenProvider(credential, scope);
  return async () => {
    try {
      const token = await provide();
      return { authorization: `Bearer ${token}` };
    } catch (cause) {
      throw new GatewayError('upstream_failed', 'No Entra token could be had.', {
        reason: 'upstream_credential_unavailable',
        cause,
      });
    }
  };
}
