import { createHash } from 'node:crypto';
import type { Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { randomText } from '@strata/shared/ids.ts';
import type { ClientHello } from '../domain/capabilities.ts';
import { isOpen, type SessionEnd } from '../domain/session.ts';
import type { SessionBinding, SessionLease, SessionRecord } from '../domain/session-record.ts';
import { LiveSession, type SessionWorld } from './live-session.ts';

const idLength = 32; // 160 random bits
const tickEveryMs = 1000;

/** A session that another replica owned before. */
export interface TakenOver {
  readonly id: string;
  readonly tag: string;
  readonly lease: SessionLease;
  readonly takenOver: SessionRecord;
}

/** All sessions of this gateway process. */
export interface SessionDirectory {
  /** @throws GatewayError overloaded (`too_many_sessions`) */
  create(caller: Caller, route: string, hello: ClientHello): Promise<LiveSession>;
  adopt(session: TakenOver): LiveSession;
  /** Unknown, ended and foreign ids are one and the same. @throws GatewayError not_found (`unknown_session`) */
  find(id: string, caller: Caller, route: string): LiveSession;
  /** The open session of this id, whoever it belongs to. */
  peek(id: string): LiveSession | undefined;
  withTag(tag: string): LiveSession | undefined;
  /** Resolves when everything of the session is gone. */
  end(session: LiveSession, reason: SessionEnd): Promise<void>;
  all(): Iterable<LiveSession>;
  readonly size: number;
  close(): Promise<void>;
}

/** Stands for a session in logs, traces and keys: the id itself is a credential. */
export function sessionTag(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 24);
}

export function isBoundTo(binding: SessionBinding, caller: Caller, route: string): boolean {
  return (
    binding.tenant === caller.tenant && binding.principal === caller.principal && binding.route === route
  );
}

export function createSessionDirectory(
  world: SessionWorld,
  options: {
    readonly isDraining: () => boolean;
    /** While the gateway drains, every second: what holds streams open lets go of them. */
    readonly onDraining: () => void;
  },
): SessionDirectory {
  const sessions = new Map<string, LiveSession>();
  const byTag = new Map<string, LiveSession>();
  let timer: Scheduled | undefined;

  const keep = (session: LiveSession): LiveSession => {
    sessions.set(session.id, session);
    byTag.set(session.tag, session);
    return session;
  };

  const end = async (session: LiveSession, reason: SessionEnd) => {
    session.close(reason);
    if (sessions.get(session.id) !== session) return;
    sessions.delete(session.id);
    byTag.delete(session.tag);
    const { state, tag } = session;
    world.log.debug({ session: tag, because: 'reason' in state ? state.reason : reason }, 'session ends');
    await session.drain();
  };

  const endQuietly = (session: LiveSession, reason: SessionEnd) => {
    end(session, reason).catch((error: unknown) => {
      world.log.error({ session: session.tag, err: error }, 'session did not end well');
    });
  };

  const tick = () => {
    const isDraining = options.isDraining();
    for (const session of sessions.values()) {
      session.tick();
      if (!isOpen(session.state)) endQuietly(session, 'expired');
      else if (isDraining) letGo(session);
    }
    if (isDraining) options.onDraining();
    timer = world.clock.schedule(tickEveryMs, tick);
  };
  timer = world.clock.schedule(tickEveryMs, tick);

  /** A client that never ends its sessions does not push out others: its own oldest quiet one goes. */
  const makeRoom = (caller: Caller) => {
    const { max, maxPerPrincipal } = world.settings().sessions;
    if (sessions.size >= max) throw tooMany();
    const own = [...sessions.values()].filter(session => isOfPrincipal(session, caller));
    if (own.length < maxPerPrincipal) return;
    const oldest = own.find(session => !session.isBusy);
    if (!oldest) throw tooMany();
    endQuietly(oldest, 'evicted');
  };

  /** Without the store a session opens all the same; it is then this replica's alone. */
  const claim = async (tag: string, record: SessionRecord): Promise<SessionLease | undefined> => {
    try {
      return await world.store?.create(tag, record);
    } catch (error) {
      world.log.warn({ session: tag, err: error }, 'a session was opened that no other replica knows');
      return undefined;
    }
  };

  const peek = (id: string): LiveSession | undefined => {
    const session = sessions.get(id);
    if (session && !isOpen(session.state)) endQuietly(session, 'expired');
    return session && isOpen(session.state) ? session : undefined;
  };

  return {
    async create(caller, route, hello) {
      makeRoom(caller);
      const id = randomText(idLength);
      const tag = sessionTag(id);
      const binding = { tenant: caller.tenant, principal: caller.principal, route };
      const nothing = { logLevel: undefined, subscriptions: [] };
      const lease = await claim(tag, { binding, hello, createdAtMs: world.clock.now(), ...nothing });
      const session = keep(new LiveSession({ id, tag, binding, hello, lease, takenOver: undefined }, world));
      session.reader.isNow(caller);
      return session;
    },
    adopt({ id, tag, lease, takenOver }) {
      const { binding, hello } = takenOver;
      return keep(new LiveSession({ id, tag, binding, hello, lease, takenOver }, world));
    },
    find(id, caller, route) {
      const session = peek(id);
      if (!session || !isBoundTo(session.binding, caller, route)) {
        throw new GatewayError('not_found', 'There is no such session. Start a new one with `initialize`.', {
          reason: 'unknown_session',
        });
      }
      sessions.delete(id); // at the end again: the first ones in the map are those unused for longest
      sessions.set(id, session);
      session.touch();
      session.reader.spoke(caller);
      return session;
    },
    peek,
    withTag: tag => byTag.get(tag),
    end,
    all: () => sessions.values(),
    get size() {
      return sessions.size;
    },
    async close() {
      timer?.cancel();
      await Promise.all([...sessions.values()].map(session => end(session, 'shutdown')));
    },
  };
}

/** Open streams would hold up the drain. One that carries answers waits for those. */
function letGo({ standalone, calls, answersOnItsStream }: LiveSession): void {
  if (!answersOnItsStream) standalone.detach();
  else if (calls.size === 0) standalone.pause();
}

function isOfPrincipal({ binding }: LiveSession, caller: Caller): boolean {
  return binding.tenant === caller.tenant && binding.principal === caller.principal;
}

function tooMany(): GatewayError {
  return new GatewayError('overloaded', 'There are too many sessions. End unused ones with DELETE.', {
    reason: 'too_many_sessions',
    retryAfterMs: 1000,
  });
}
