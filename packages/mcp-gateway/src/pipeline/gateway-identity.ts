import type { ClientHello } from '../domain/capabilities.ts';
import { modernVersion } from '../domain/protocol-versions.ts';

/** How the gateway presents itself, to clients and to servers. */
export const gatewayInfo = {
  name: 'strata-mcp-gateway',
  title: 'Strata MCP gateway',
  version: '0.1.0',
} as const;

/** The gateway as a client of its own: it answers no questions, so it claims nothing. */
export const gatewayHello: ClientHello = {
  protocolVersion: modernVersion,
  capabilities: {},
  clientInfo: gatewayInfo,
};

/** Keys of `_meta` that the gateway adds to what it answers itself. */
export const metaKeys = {
  unavailable: 'strata/unavailable_servers',
  refused: 'strata/refused_names',
} as const;
