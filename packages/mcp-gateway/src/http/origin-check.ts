import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

const loopbackNames = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * Refuses requests of web pages that were not invited (M7; 2025-11-25, "Security Warning" of the transports). Programs send
 * no `Origin`. Pages of the same machine may call a gateway that listens on it.
 */
export function createOriginCheck(options: {
  readonly listenHost: string;
  readonly allowedOrigins: () => readonly string[];
}): (origin: string | undefined) => void {
  const isLoopback = loopbackNames.has(options.listenHost) || options.listenHost === '::1';
  return origin => {
    if (origin === undefined) return;
    if (options.allowedOrigins().includes(origin)) return;
    if (isLoopback && loopbackNames.has(hostnameOf(origin) ?? '')) return;
    throw new GatewayError(
      'permission_denied',
      `Pages of '${origin.slice(0, 200)}' may not call this gateway. Add it to \`mcp_gateway.allowed_origins\`.`,
      { reason: 'origin_not_allowed', param: 'origin' },
    );
  };
}

function hostnameOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).hostname : undefined;
}
