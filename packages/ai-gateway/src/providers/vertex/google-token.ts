import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { GoogleAuth } from 'google-auth-library';
import type { Credential } from '../../domain/provider.ts';

const scopes = 'https://www.googleapis.com/auth/cloud-platform';

/** Access tokens from the places Google's own library looks; it keeps them and fetches the next in time. */
export function createGoogleAuthorize(keyFile: string | undefined): Credential['authorize'] {
  const auth = new GoogleAuth({ scopes, ...(keyFile !== undefined && { keyFile }) });
  return async () => {
    try {
      const token = await auth.getAccessToken();
      if (!token) throw new Error('Google gave no token');
      return { authorization: `Bearer ${token}` };
    } catch (cause) {
      throw new GatewayError('upstream_failed', 'No Google access token could be had.', {
        reason: 'upstream_credential_unavailable',
        cause,
      });
    }
  };
}
