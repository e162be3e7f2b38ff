import type { Server as HttpServer } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import type { Clock } from '../clock.ts';

const graceMs = 700;
const sweepEveryMs = 100;
/** After the terminal errors are written: how long survivors have to read them. */
const lastWordsMs = 1000;

export interface Drain {
  /** Stops accepting and resolves when the last connection is gone. Safe to call again: the same drain is awaited. */
  start(): Promise<void>;
  readonly isDraining: boolean;
}

/**
 * The order that loses no request, found by restarting a server under load with a client that counts every socket error:
 *
 * 1. Answers carry `Connection: close` from now on (the server adds it while `isDraining`).
 * 2. Stop accepting, and touch no socket. `http.Server.close()` would close connections that are idle only because their
 *    request is on its way; the close of the net server below it does not.
 * 3. After a grace, in which such requests have arrived, close idle connections again and again.
 * 4. At the deadline tell the survivors (`onDeadline` aborts their signals, whoever streams writes its protocol's terminal error),
 *    then destroy what is left.
 */
export function createDrain(options: {
  server: HttpServer;
  clock: Clock;
  timeoutMs: number;
  onDeadline: () => void;
}): Drain {
  const { server, clock, timeoutMs, onDeadline } = options;
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  let draining: Promise<void> | undefined;
  /** Connections that were opened ahead of their first request: Node counts them among the busy ones. */
  let unused = new Set<Socket>();

  /** A request that is there already has been read by the second time. */
  function closeUnused(): void {
    const before = unused;
    unused = new Set([...sockets].filter(({ bytesRead }) => bytesRead === 0));
    for (const socket of unused) if (before.has(socket)) socket.destroy();
  }

  async function drain(): Promise<void> {
    const closed = new Promise<void>(resolve => {
      NetServer.prototype.close.call(server, () => resolve());
    });
    const isOver = { value: false };
    void closed.then(() => {
      isOver.value = true;
    });
    const deadline = clock.monotonic() + timeoutMs;
    await Promise.race([closed, clock.sleep(Math.min(graceMs, timeoutMs))]);
    while (!isOver.value && clock.monotonic() < deadline) {
      server.closeIdleConnections();
      closeUnused();
      await Promise.race([closed, clock.sleep(sweepEveryMs)]);
    }
    if (isOver.value) return;
    server.closeIdleConnections();
    onDeadline();
    await Promise.race([closed, clock.sleep(lastWordsMs)]);
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  return {
    get isDraining() {
      return draining !== undefined;
    },
    start() {
      draining ??= drain();
      return draining;
    },
  };
}
