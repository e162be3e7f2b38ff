import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import {
  type ClientHello,
  isObject,
  joinInstructions,
  serverCapabilitiesFor,
  unionCapabilities,
} from '../domain/capabilities.ts';
import type { RequestFrame } from '../domain/frame.ts';
import { mayUseServer } from '../domain/names.ts';
import { type Era, negotiateVersion } from '../domain/protocol-versions.ts';
import type { UpstreamDirectory } from '../domain/upstream-directory.ts';
import { decodeParams } from '../wire/frame.ts';
import { hopMeta } from '../wire/modern/meta.ts';
import { gatewayInfo, metaKeys } from './gateway-identity.ts';
import type { ServerFacts } from './server-facts.ts';

/** What the client said about itself. @throws GatewayError invalid_request (`invalid_params`) */
export function readClientHello(frame: RequestFrame): ClientHello {
  const { protocolVersion, capabilities, clientInfo } = decodeParams(frame);
  if (typeof protocolVersion !== 'string' || !isObject(clientInfo)) {
    throw new GatewayError('invalid_request', '`initialize` needs `protocolVersion` and `clientInfo`.', {
      reason: 'invalid_params',
    });
  }
  return {
    protocolVersion: negotiateVersion(protocolVersion),
    capabilities: isObject(capabilities) ? capabilities : {},
    clientInfo,
  };
}

/** Claimed for a server nobody has reached yet: its tools may come, and a client told otherwise would never ask. */
const presumed = { tools: { listChanged: true } };

interface Asked {
  readonly caller: Caller;
  readonly directory: UpstreamDirectory;
  readonly facts: ServerFacts;
  readonly signal: StopSignal;
}

/** The result of `initialize`: what all servers that this caller may use can do together. */
export async function describeGateway(options: Asked & { readonly hello: ClientHello }): Promise<string> {
  const { capabilities, instructions, missing } = await ask(options, 'legacy');
  return JSON.stringify({
    protocolVersion: options.hello.protocolVersion,
    capabilities,
    serverInfo: gatewayInfo,
    ...(instructions !== undefined && { instructions }),
    ...(missing.length > 0 && { _meta: { [metaKeys.unavailable]: missing } }),
  });
}

/** How long a client may take what the servers can do for known, ms; not at all while one of them is missing. */
const discoverTtlMs = 60_000;

/** The result of `server/discover`. */
export async function describeToModern(
  options: Asked & { readonly supportedVersions: readonly string[] },
): Promise<string> {
  const { capabilities, instructions, missing } = await ask(options, 'modern');
  return JSON.stringify({
    resultType: 'complete',
    supportedVersions: options.supportedVersions,
    capabilities,
    ...(instructions !== undefined && { instructions }),
    ttlMs: missing.length > 0 ? 0 : discoverTtlMs,
    cacheScope: 'private',
    _meta: {
      [hopMeta.serverInfo]: gatewayInfo,
      ...(missing.length > 0 && { [metaKeys.unavailable]: missing }),
    },
  });
}

async function ask(options: Asked, era: Era) {
  const { caller, directory, facts, signal } = options;
  const usable = directory
    .list()
    .filter(({ name, policy }) => mayUseServer(caller.scopes.tools, name, policy.hasPlainNames));
  const known = await Promise.all(
    usable.map(async upstream => ({
      server: upstream.name,
      isShared: upstream.policy.sharing === 'shared',
      hello: await facts.hello(upstream, era, signal),
    })),
  );
  const missing = known.filter(each => each.hello === undefined).map(each => ({ server: each.server }));
  const instructions = joinInstructions(
    known.map(each => ({ server: each.server, instructions: each.hello?.instructions })),
  );
  const capabilities = unionCapabilities(
    known.map(({ hello, isShared }) => (hello ? serverCapabilitiesFor(hello, era, isShared) : presumed)),
  );
  return { capabilities, instructions, missing };
}
