import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { isObject, type ServerHello } from '../domain/capabilities.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import {
  type Era,
  isLegacyVersion,
  modernVersion,
  newestLegacyVersion,
} from '../domain/protocol-versions.ts';
import { errorCodeOf, rawText } from '../wire/frame.ts';
import { stringAt } from '../wire/json-text.ts';
import { requestHeaders } from '../wire/modern/headers.ts';
import { hopMeta, isModernCode } from '../wire/modern/meta.ts';
import { askOn, SessionLost } from './ask.ts';
import type { Connection } from './connection.ts';

/** What a server answered to `server/discover`. */
export type Discovered =
  | {
      readonly era: 'modern';
      readonly hello: ServerHello;
      readonly freshForMs: number;
      /** It takes `initialize` too: clients with sessions are spoken for in their own era. */
      readonly hasSessions: boolean;
    }
  /** It does not know the method, or no version of that era which we speak. */
  | { readonly era: 'legacy' };

/**
 * Asks a server which era it speaks (2026-07-28, "Versioning"): any answer of the new revision is one, any other refusal of
 * the message means sessions. Only a server that cannot be reached, or that refuses the credentials, leaves it open.
 * @throws GatewayError upstream_failed, or the signal's reason
 */
export async function discover(
  connection: Connection,
  meta: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<Discovered> {
  let frame: ResponseFrame;
  try {
    const headers = requestHeaders('server/discover', undefined);
    frame = await askOn(connection, 'server/discover', { _meta: meta }, signal, headers);
  } catch (error) {
    if (error instanceof SessionLost || isRefusal(error)) return { era: 'legacy' };
    throw error;
  }
  const result: unknown = frame.result && JSON.parse(rawText(frame.bytes, frame.result));
  if (isObject(result) && offersModern(result)) {
    const ttlMs = typeof result.ttlMs === 'number' ? result.ttlMs : 0;
    const freshForMs = Math.max(minFreshMs, ttlMs);
    return { era: 'modern', hello: helloOf(result), freshForMs, hasSessions: false };
  }
  const code = errorCodeOf(frame);
  if (code !== undefined && isModernCode(code) && !supportsOnlyOthers(frame)) {
    throw new GatewayError('upstream_failed', `The server refused \`server/discover\` (${code}).`, {
      reason: 'server_handshake_failed',
    });
  }
  return { era: 'legacy' };
}

/** Whether a server of the new era takes `initialize` too; what it says to `server/discover` does not tell. Never rejects. */
export async function takesSessions(
  connection: Connection,
  clientInfo: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<boolean> {
  const params = { protocolVersion: newestLegacyVersion, capabilities: {}, clientInfo };
  const frame = await askOn(connection, 'initialize', params, signal).catch(() => undefined);
  const version = frame?.result?.members?.get('protocolVersion');
  return frame !== undefined && isLegacyVersion(stringAt(frame.bytes, version) ?? '');
}

/** The era in which a server is spoken to for a client of `clientEra`: its own where the server has it, so that nothing is bridged that need not be. */
export function eraFor(discovered: Discovered, clientEra: Era): Era {
  return discovered.era === 'modern' && discovered.hasSessions ? clientEra : discovered.era;
}

/** What a server says about itself is asked again at most this often, even when it allows no caching. */
const minFreshMs = 60_000;

function offersModern(result: Readonly<Record<string, unknown>>): boolean {
  return Array.isArray(result.supportedVersions) && result.supportedVersions.includes(modernVersion);
}

function supportsOnlyOthers(frame: ResponseFrame): boolean {
  const data = frame.error?.members?.get('data');
  const value: unknown = data && JSON.parse(rawText(frame.bytes, data));
  return isObject(value) && Array.isArray(value.supported) && !value.supported.includes(modernVersion);
}

/** The server answered, and not as the era does. Credentials and outages say nothing about the era. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false;
  if (error.reason === 'server_stream_ended' || error.reason === 'server_message_invalid') return true;
  const status = error.details?.status;
  return error.reason === 'server_refused' && typeof status === 'number' && status < 500;
}

function helloOf(result: Readonly<Record<string, unknown>>): ServerHello {
  const meta = isObject(result._meta) ? result._meta : {};
  const serverInfo = meta[hopMeta.serverInfo];
  return {
    protocolVersion: modernVersion,
    capabilities: isObject(result.capabilities) ? result.capabilities : {},
    serverInfo: isObject(serverInfo) ? serverInfo : {},
    instructions: typeof result.instructions === 'string' ? result.instructions : undefined,
  };
}

/**
 * What is known about one server's era: pinned by the configuration, or asked once for all. It belongs to one configured
 * server with its one credential; a change of either makes a new one.
 */
export class UpstreamEra {
  readonly #pinned: Era | undefined;
  #asking: Promise<Discovered> | undefined;
  #known: { readonly discovered: Discovered; readonly untilMs: number } | undefined;
  readonly #nowMs: () => number;

  constructor(pinned: Era | 'auto', nowMs: () => number) {
    this.#pinned = pinned === 'auto' ? undefined : pinned;
    this.#nowMs = nowMs;
  }

  /** Whether clients of either era are spoken for in their own. */
  get isBoth(): boolean {
    const discovered = this.#known?.discovered;
    return discovered?.era === 'modern' && discovered.hasSessions;
  }

  get isPinned(): boolean {
    return this.#pinned !== undefined;
  }

  /** The era, with what a modern server said about itself. `ask` is called for at most one of all who wait. */
  async decide(ask: () => Promise<Discovered>): Promise<Discovered> {
    if (this.#pinned === 'legacy') return { era: 'legacy' };
    if (this.#known && (this.#known.discovered.era === 'legacy' || this.#known.untilMs > this.#nowMs())) {
      return this.#known.discovered;
    }
    this.#asking ??= ask()
      .then(discovered => this.#remember(discovered))
      .finally(() => {
        this.#asking = undefined;
      });
    return this.#asking;
  }

  /** The server's answers contradict what is known: it is asked again at the next need. */
  forget(): void {
    this.#known = undefined;
  }

  #remember(discovered: Discovered): Discovered {
    if (this.#pinned === 'modern' && discovered.era === 'legacy') {
      throw new GatewayError('upstream_failed', 'The server does not speak the revision 2026-07-28.', {
        reason: 'server_handshake_failed',
      });
    }
    const freshForMs = discovered.era === 'modern' ? discovered.freshForMs : 0;
    this.#known = { discovered, untilMs: this.#nowMs() + freshForMs };
    return discovered;
  }
}
