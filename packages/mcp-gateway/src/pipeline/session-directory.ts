import type { Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { randomText } from '@strata/shared/ids.ts';
import type { ClientHello } from '../domain/capabilities.ts';
import { isOpen, type SessionEnd } from '../domain/session.ts';
import { LiveSession, type SessionWorld } from './live-session.ts';

const idLength = 32; // 160 random bits
const tickEveryMs = 1000;

/** All sessions of this gateway process. */
export interface SessionDirectory {
  /** @throws GatewayError overloaded (`too_many_sessions`) */
  create(caller: Caller, route: string, hello: ClientHello): LiveSession;
  /** Unknown, ended and foreign ids are one and the same. @throws GatewayError not_found (`unknown_session`) */
  find(id: string, caller: Caller, route: string): LiveSession;
  /** Resolves when everything of the session is gone. */
  end(session: LiveSession, reason: SessionEnd): Promise<void>;
  all(): Iterable<LiveSession>;
  readonly size: number;
  close(): Promise<void>;
}

export function createSessionDirectory(world: SessionWorld, isDraining: () => boolean): SessionDirectory {
  const sessions = new Map<string, LiveSession>();
  let timer: Scheduled | undefined;

  const end = async (session: LiveSession, reason: SessionEnd) => {
    session.close(reason);
    if (!sessions.delete(session.id)) return;
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
    for (const session of sessions.values()) {
      session.tick();
      if (!isOpen(session.state)) endQuietly(session, 'expired');
      else if (isDraining()) session.standalone.detach(); // or open streams would hold up the drain
    }
    timer = world.clock.schedule(tickEveryMs, tick);
  };
  timer = world.clock.schedule(tickEveryMs, tick);

  /** A client that never ends its sessions does not push out others: its own oldest quiet one goes. */
  const makeRoom = (caller: Caller) => {
    const { max, maxPerPrincipal } = world.settings().sessions;
    if (sessions.size >= max) throw tooMany();
    const own = [...sessions.values()].filter(session => belongsTo(session, caller));
    if (own.length < maxPerPrincipal) return;
    const oldest = own.find(session => !session.isBusy);
    if (!oldest) throw tooMany();
    endQuietly(oldest, 'evicted');
  };

  return {
    create(caller, route, hello) {
      makeRoom(caller);
      const session = new LiveSession(randomText(idLength), caller, route, hello, world);
      sessions.set(session.id, session);
      return session;
    },
    find(id, caller, route) {
      const session = sessions.get(id);
      if (
        !session ||
        !isOpen(session.state) ||
        !belongsTo(session, caller) ||
        session.binding.route !== route
      ) {
        throw new GatewayError('not_found', 'There is no such session. Start a new one with `initialize`.', {
          reason: 'unknown_session',
        });
      }
      sessions.delete(id); // at the end again: the first ones in the map are those unused for longest
      sessions.set(id, session);
      session.touch();
      return session;
    },
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

function belongsTo(session: LiveSession, caller: Caller): boolean {
  return session.binding.tenant === caller.tenant && session.binding.principal === caller.principal;
}

function tooMany(): GatewayError {
  return new GatewayError('overloaded', 'There are too many sessions. End unused ones with DELETE.', {
    reason: 'too_many_sessions',
    retryAfterMs: 1000,
  });
}
