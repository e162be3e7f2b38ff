import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import { isObject, type ServerHello } from '../domain/capabilities.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import { type Era, isLegacyVersion, modernVersion } from '../domain/protocol-versions.ts';
import { errorCodeOf, rawText } from '../wire/frame.ts';
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
      /** It says that it speaks revisions with sessions too. */
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
  signal: StopSignal,
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
    return { era: 'modern', hello: helloOf(result), freshForMs, hasSessions: offersSessions(result) };
  }
  const code = errorCodeOf(frame);
  if (code !== undefined && isModernCode(code) && !supportsOnlyOthers(frame)) {
    throw new GatewayError('upstream_failed', `The server refused \`server/discover\` (${code}).`, {
      reason: 'server_handshake_failed',
    });
  }
  return { era: 'legacy' };
}

/** What a server says about itself is asked again at most this often, even when it allows no caching. */
const minFreshMs = 60_000;

function offersModern(result: Readonly<Record<string, unknown>>): boolean {
  return Array.isArray(result.supportedVersions) && result.supportedVersions.includes(modernVersion);
}

function offersSessions(result: Readonly<Record<string, unknown>>): boolean {
  const { supportedVersions } = result;
  return Array.isArray(supportedVersions) && supportedVersions.some(isLegacyVersion);
}

function supportsOnlyOthers(frame: ResponseFrame): boolean {
  const data = frame.error?.members?.get('data');
  const value: unknown = data && JSON.parse(rawText(frame.bytes, data));
  return isObject(value) && Array.isArray(value.supported) && !value.supported.includes(modernVersion);
}

/** The server answered, and not as the era does. Credentials and outages say nothing about the era. */
export function isRefusal(error: unknown): boolean {
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

/** What a server is asked about its eras, each with a connection of its own. */
export interface EraQuestions {
  ask(): Promise<Discovered>;
  /** Whether a server of the new era keeps sessions too. `undefined` when that could not be found out. Never rejects. */
  askSessions(): Promise<boolean | undefined>;
}

/**
 * What is known about one server's era: pinned by the configuration, or asked once for all. It belongs to one configured
 * server with its one credential; a change of either makes a new one.
 */
export class UpstreamEra {
  readonly #pinned: Era | 'both' | undefined;
  #asking: Promise<Discovered> | undefined;
  #known: { readonly discovered: Discovered; readonly untilMs: number } | undefined;
  #sessions: Promise<boolean | undefined> | undefined;
  #hasSessions = false;
  readonly #nowMs: () => number;

  constructor(pinned: Era | 'both' | 'auto', nowMs: () => number) {
    this.#pinned = pinned === 'auto' ? undefined : pinned;
    this.#nowMs = nowMs;
  }

  /** Whether clients of either era are spoken for in their own. */
  get isBoth(): boolean {
    const discovered = this.#known?.discovered;
    const hasSessions = discovered?.era === 'modern' && (discovered.hasSessions || this.#hasSessions);
    return this.#pinned === 'both' || hasSessions;
  }

  get isPinned(): boolean {
    return this.#pinned !== undefined;
  }

  /** The era in which a server is spoken to for a client: the client's where the server has it, so that nothing is bridged that need not be. */
  async decideFor(clientEra: Era, { ask, askSessions }: EraQuestions): Promise<Era> {
    if (this.#pinned === 'both') return clientEra;
    const discovered = await this.decide(ask);
    if (discovered.era === 'legacy' || clientEra === 'modern') return discovered.era;
    return (await this.#keepsSessions(discovered.hasSessions, askSessions)) ? 'legacy' : 'modern';
  }

  /** Asked once, and only when a client with a session comes. */
  async #keepsSessions(saysSo: boolean, ask: EraQuestions['askSessions']): Promise<boolean> {
    if (saysSo || this.isPinned) return saysSo;
    this.#sessions ??= ask();
    const answer = await this.#sessions;
    if (answer === undefined) this.#sessions = undefined;
    this.#hasSessions = answer === true;
    return this.#hasSessions;
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
    this.#sessions = undefined;
    this.#hasSessions = false;
  }

  #remember(discovered: Discovered): Discovered {
    if (this.isPinned && discovered.era === 'legacy') {
      throw new GatewayError('upstream_failed', 'The server does not speak the revision 2026-07-28.', {
        reason: 'server_handshake_failed',
      });
    }
    const freshForMs = discovered.era === 'modern' ? discovered.freshForMs : 0;
    this.#known = { discovered, untilMs: this.#nowMs() + freshForMs };
    return discovered;
  }
}
