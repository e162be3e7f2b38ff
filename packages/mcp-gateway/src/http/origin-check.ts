import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

const loopbackNames = new Set(['localhost', '127.0.0.1', '[::1]']);

export interface OriginCheck {
  /** Whether a page of this origin may call, and read what it gets. */
  readonly isInvitedPage: (origin: string) => boolean;
  /** @throws GatewayError permission_denied (`origin_not_allowed`) */
  readonly checkOrigin: (origin: string | undefined) => void;
}

/**
 * Refuses requests of web pages that were not invited (M7; 2025-11-25, "Security Warning" of the transports). Programs send
 * no `Origin`. Pages of the same machine may call a gateway that listens on it.
 */
export function createOriginCheck(options: {
  readonly listenHost: string;
  readonly allowedOrigins: () => readonly string[];
}): OriginCheck {
  const isLoopback = loopbackNames.has(options.listenHost) || options.listenHost === '::1';
  const isInvitedPage = (origin: string) =>
    options.allowedOrigins().includes(origin) || (isLoopback && loopbackNames.has(hostnameOf(origin) ?? ''));
  const checkOrigin = (origin: string | undefined) => {
    if (origin === undefined || isInvitedPage(origin)) return;
    throw new GatewayError(
      'permission_denied',
      `Pages of '${origin.slice(0, 200)}' may not call this gateway. Add it to \`mcp_gateway.allowed_origins\`.`,
      { reason: 'origin_not_allowed', param: 'origin' },
    );
  };
  return { isInvitedPage, checkOrigin };
}

function hostnameOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).hostname : undefined;
}
