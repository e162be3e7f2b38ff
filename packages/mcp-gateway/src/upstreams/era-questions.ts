import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import { type Era, legacyVersions, modernVersion } from '../domain/protocol-versions.ts';
import type { UpstreamPolicy } from '../domain/upstream.ts';
import { hopMeta } from '../wire/modern/meta.ts';
import { askOn, SessionLost } from './ask.ts';
import { Connection } from './connection.ts';
import { type Discovered, discover, type EraQuestions, isRefusal } from './era.ts';
import type { TransportFactory } from './transport.ts';

export interface AskedServer {
  readonly name: string;
  readonly policy: UpstreamPolicy;
  readonly factory: TransportFactory;
  readonly onStray: () => void;
  /** How the gateway presents itself. */
  readonly clientInfo: Readonly<Record<string, unknown>>;
}

/** What a server is asked about its eras, with connections that are closed again. */
export function eraQuestions(options: AskedServer): EraQuestions {
  return { ask: () => askEra(options), askSessions: () => askSessions(options) };
}

/** Which era the server speaks. */
async function askEra(options: AskedServer): Promise<Discovered> {
  const { name, policy, factory, clientInfo } = options;
  const connection = connectTo(options, 'modern');
  const isPipe = factory.kind === 'pipe';
  const timeout = AbortSignal.timeout(isPipe ? policy.openTimeoutMs / 2 : policy.openTimeoutMs);
  const meta = {
    [hopMeta.protocolVersion]: modernVersion,
    [hopMeta.clientCapabilities]: {},
    [hopMeta.clientInfo]: clientInfo,
  };
  try {
    await connection.transport.start();
    const discovered = await discover(connection, meta, timeout);
    return isPipe && discovered.era === 'modern' ? { ...discovered, freshForMs: Infinity } : discovered;
  } catch (error) {
    if (isPipe && isNoAnswer(error, timeout)) return { era: 'legacy' };
    if (!timeout.aborted) throw error;
    throw new GatewayError(
      'timeout',
      `The server '${name}' did not answer the handshake within ${policy.openTimeoutMs} ms.`,
      { reason: 'server_open_timeout', details: { server: name }, cause: error },
    );
  } finally {
    await connection.close(answered());
  }
}

/** Servers with sessions may say nothing before `initialize`, or end at anything else (2026-07-28, "Versioning", stdio). */
function isNoAnswer(error: unknown, timeout: StopSignal): boolean {
  return timeout.aborted || (error instanceof GatewayError && error.reason === 'server_gone');
}

/**
 * Whether a server of the new era keeps sessions for the clients that have them: most that do name the new era alone. One that takes
 * `initialize` and gives no session has no way to ask its clients anything, so its clients are better off with the bridge.
 */
async function askSessions(options: AskedServer): Promise<boolean | undefined> {
  const { policy, factory, clientInfo } = options;
  if (factory.kind === 'pipe') return false; // it is one conversation, in one era
  const connection = connectTo(options, 'legacy');
  const timeout = AbortSignal.timeout(policy.openTimeoutMs);
  try {
    if (!(await connection.transport.wantsSession?.(timeout))) return false;
    const hello = { protocolVersion: legacyVersions[0], capabilities: {}, clientInfo };
    const frame = await askOn(connection, 'initialize', hello, timeout);
    return frame.result !== undefined && connection.transport.hasSession === true;
  } catch (error) {
    return error instanceof SessionLost || isRefusal(error) ? false : undefined;
  } finally {
    await connection.close(answered());
  }
}

/** A connection for one question. */
function connectTo({ name, policy, factory, onStray }: AskedServer, era: Era): Connection {
  return new Connection(
    { server: name, maxResultBytes: policy.maxResultBytes, isShared: false },
    events => factory.create(events, era, factory),
    { onNotification: () => {}, onRequest: () => {}, onStray, onClosed: () => {} },
  );
}

function answered(): GatewayError {
  return new GatewayError('cancelled', 'The question is answered.');
}
