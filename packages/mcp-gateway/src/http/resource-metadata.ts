import type { ErrorRenderer } from '@strata/shared/errors/error-renderer.ts';
import type { GatewayServer } from '@strata/shared/http/server.ts';
import { endpointPath } from '../domain/namespaces.ts';

const wellKnown = '/.well-known/oauth-protected-resource';

export interface ProtectedResource {
  readonly issuers: readonly string[];
  readonly publicUrl: string | undefined;
}

/**
 * OAuth 2.0 Protected Resource Metadata (RFC 9728): where clients get a token, when identity providers are configured. Without any there is
 * nothing to tell, and the 404 says to clients that a key is all that is taken here.
 */
export function addResourceMetadata(
  { app }: Pick<GatewayServer, 'app'>,
  { issuers, publicUrl }: ProtectedResource,
): void {
  if (issuers.length === 0) return;
  const base = publicUrl && baseOf(publicUrl);
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

/** A refused credential tells where that is (RFC 9728, section 5.1), where the gateway knows the address it is reached at. */
export function challengingErrors(
  render: ErrorRenderer,
  { issuers, publicUrl }: ProtectedResource,
): ErrorRenderer {
  if (issuers.length === 0 || publicUrl === undefined) return render;
  const base = baseOf(publicUrl) + wellKnown;
  return (error, context) => {
    const rendered = render(error, context);
    const challenge = rendered.headers['www-authenticate'];
    if (challenge === undefined) return rendered;
    const path = (context.path ?? endpointPath).replace(/\/$/, '');
    const told = `${challenge}, resource_metadata="${base}${quotable(path)}"`;
    return { ...rendered, headers: { ...rendered.headers, 'www-authenticate': told } };
  };
}

/** The path is encoded already, as far as its client did. */
function quotable(path: string): string {
  return path.toWellFormed().replace(/[^!#-[\]-~]/gu, encodeURIComponent);
}

function baseOf(url: string): string {
  return url.replace(/\/$/, '');
}
