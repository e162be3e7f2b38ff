import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

/** The far end of `call: http`: counts what reaches it by the key that names the effect. */
export interface Effects {
  readonly url: string;
  /** Requests by `idempotency-key`. */
  readonly byKey: ReadonlyMap<string, number>;
  /** Keys whose result is durable. A request under one of them is a finished task that ran again. */
  readonly finished: Set<string>;
  readonly repeatedAfterFinish: string[];
  /** While true, requests are taken and not answered. */
  holdAnswers: boolean;
  /** The key of the next request that arrives. */
  nextRequest(): Promise<string>;
  close(): Promise<void>;
}

/** Answers `{ doubled: 2 * body.n }` after up to `maxDelayMs`, so that a kill finds calls on their way. */
export async function startEffects(options: { maxDelayMs: number; random: () => number }): Promise<Effects> {
  const byKey = new Map<string, number>();
  const finished = new Set<string>();
  const repeatedAfterFinish: string[] = [];
  const waiting: ((key: string) => void)[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const key = String(request.headers['idempotency-key'] ?? 'none');
      byKey.set(key, (byKey.get(key) ?? 0) + 1);
      if (finished.has(key)) repeatedAfterFinish.push(key);
      for (const arrived of waiting.splice(0)) arrived(key);
      if (effects.holdAnswers) return;
      const { n } = JSON.parse(await text(request)) as { n: number };
      await sleep(options.random() * options.maxDelayMs);
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ doubled: n * 2 }));
    })().catch(() => response.destroy()); // a gateway that was killed cannot read its answer
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const effects: Effects = {
    url: `http://127.0.0.1:${port}`,
    byKey,
    finished,
    repeatedAfterFinish,
    holdAnswers: false,
    nextRequest: () =>
      new Promise(resolve => {
        waiting.push(resolve);
      }),
    close: () =>
      new Promise(resolve => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return effects;
}
