import type { GatewayServer } from '@strata/shared/http/server.ts';
import { endpointPath } from '../domain/namespaces.ts';

const wellKnown = '/.well-known/oauth-protected-resource';

/**
 * OAuth 2.0 Protected Resource Metadata (RFC 9728): where clients get a token, when identity providers are configured. Without any there is
 * nothing to tell, and the 404 says to clients that a key is all that is taken here.
 */
export function addResourceMetadata(
  { app }: Pick<GatewayServer, 'app'>,
  { issuers, publicUrl }: { readonly issuers: readonly string[]; readonly publicUrl: string | undefined },
): void {
  if (issuers.length === 0) return;
  const base = publicUrl?.replace(/\/$/, '');
  for (const url of [wellKnown, `${wellKnown}/*`]) {
    app.get<{ Params: { '*'?: string } }>(url, { config: { access: 'public' } }, (request, reply) => {
      const { '*': rest } = request.params;
      const path = rest === undefined || rest === '' ? endpointPath : `/${rest}`;
      return reply.header('cache-control', 'no-store').send({
        resource: `${base ?? `http://${request.headers.host}`}${path}`,
        authorization_servers: issuers,
        bearer_methods_supported: ['header'],
      });
    });
  }
}
