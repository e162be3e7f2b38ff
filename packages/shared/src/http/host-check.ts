import { GatewayError } from '../errors/gateway-error.ts';

const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];

/**
 * Which `Host` values a server answers to. On loopback a page of a foreign name that resolves to 127.0.0.1 must not reach
 * it (DNS rebinding, C15), so only loopback names are taken unless the operator lists others.
 */
export function createHostCheck(options: { listenHost: string; allowedHosts: readonly string[] }): {
  readonly isAllowedHost: (host: string | undefined) => boolean;
  /** @throws GatewayError permission_denied (`host_not_allowed`) */
  readonly checkHost: (host: string | undefined) => void;
} {
  const isLoopback = ['127.0.0.1', '::1', 'localhost'].includes(options.listenHost);
  const named = options.allowedHosts.map(host => host.toLowerCase());
  const allowed =
    isLoopback || named.length > 0 ? new Set([...(isLoopback ? loopbackNames : []), ...named]) : undefined;
  const isAllowedHost = (host: string | undefined) => {
    const name = host === undefined ? undefined : hostNameOf(host);
    return name !== undefined && (allowed === undefined || allowed.has(name));
  };
  let lastTaken: string | undefined; // nearly all requests name the same host
  const checkHost = (host: string | undefined) => {
    if (host !== undefined && host === lastTaken) return;
    if (!isAllowedHost(host)) {
      throw new GatewayError(
        'permission_denied',
        `This server does not answer to the host '${(host ?? '').slice(0, 100)}'. Add it to \`listen.allowed_hosts\`.`,
        {
          reason: 'host_not_allowed',
          param: 'host',
        },
      );
    }
    lastTaken = host;
  };
  return { isAllowedHost, checkHost };
}

/** The host without its port, lower case; undefined when it holds anything a host cannot (`/`, `?`, `#`, `@`: C4). */
function hostNameOf(host: string): string | undefined {
  return /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/.exec(host.toLowerCase())?.[1];
}
