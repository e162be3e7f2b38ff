import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventStreamHead } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, expect, test } from 'vitest';
import { chatRequest, sectionFor } from './harness.ts';
import { RawClient } from './raw-client.ts';
import { openGatewayPlaces } from './support/gateway-processes.ts';
import { nextHeapLook, reportsHeap } from './support/heap-report.ts';

/** Many clients at once that read a byte a second of what an upstream sends as fast as it can (F44). */

const readers = sized({ ci: 48, soak: 1000 });
/** Longer than it takes until all of them stand still. */
const clientStallMs = sized({ ci: 10_000, soak: 180_000 });
/** Each look collects what nobody holds, which takes its time where much is held. */
const lookEveryMs = sized({ ci: 250, soak: 5000 });
/** Of one event: an event of which the end is missing waits at each of the readers. */
const eventTextBytes = sized({ ci: 4000, soak: 1000 });
const delta = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'x'.repeat(eventTextBytes) } }] })}\n\n`;
const maxBytesPerStream = 64 * 1024;
/** Of them: two reads of 8 KiB of the upstream's connection, as much that is not sent to the client, the beginning of an event, and both bodies' own. */
const maxBufferedPerStream = 56 * 1024;
/** What a process takes for itself while it begins to work: compiled code, caches, pages of a heap that grew. */
const slackBytes = 16 * 1024 ** 2;
/** The memory of WebAssembly is a buffer too: 3 MiB for Node to read TypeScript, whenever it next does. */
const slackBufferBytes = 4 * 1024 ** 2;
/** V8 keeps the pages of what was garbage while gigabytes passed: they belong to no stream. A third of what passes is less than holding it would take. */
const slackRssBytes = sized({ ci: 160, soak: 256 }) * 1024 ** 2;

const folder = mkdtempSync(join(tmpdir(), 'strata-slow-'));
const upstream = await startFakeUpstream({ plan: [], keepBytes: 0 });
let stop = async () => {};
afterAll(async () => {
  await stop();
  rmSync(folder, { recursive: true, force: true });
  await upstream.close();
});

test('[F44] slow readers hold their upstreams back, take little memory, and are dropped when they stall', async () => {
  const file = join(folder, 'heap');
  const { places, close } = await openGatewayPlaces({
    count: 1,
    config: { ai_gateway: sectionFor({ openai: upstream.url }, limits) },
    environmentOf: () => reportsHeap(file, lookEveryMs),
  });
  stop = close;
  const [gateway = expect.fail()] = places;
  await gateway.start();
  await warmUp(gateway);
  const before = { ...(await nextHeapLook(file)), rss: rssOf(gateway.pid) };

  upstream.use([eventStreamHead, { op: 'repeat', bytes: delta.repeat(16) }]);
  const from = upstream.requests.length;
  const clients = Array.from({ length: readers }, () => new RawClient(gateway));
  for (const client of clients) {
    readSlowly(client);
    client.send(chatRequest({ stream: true }));
  }
  const streams = await Promise.all(clients.map((_, index) => upstream.requestReceived(from + index + 1)));
  await quiet(upstream, from);
  const { held, buffers } = await nextHeapLook(file);
  const perStream = (held - before.held) / readers;
  const buffered = (buffers - before.buffers) / readers;
  const rss = rssOf(gateway.pid) - before.rss;
  const sent = Math.max(...streams.map(each => each.bodyBytesSent));
  console.info(
    `${readers} readers of events of ${eventTextBytes} bytes: ${(perStream / 1024).toFixed(1)} KiB held a stream, ${(buffered / 1024).toFixed(1)} of them in buffers, RSS +${(rss / 1024 ** 2).toFixed(1)} MiB, at most ${(sent / 1024 ** 2).toFixed(1)} MiB sent`,
  );
  expect(sent).toBeLessThan(48 * 1024 ** 2); // what the kernel's buffers on two connections take
  expect(buffered).toBeLessThan(maxBufferedPerStream + slackBufferBytes / readers);
  expect(perStream).toBeLessThan(maxBytesPerStream + slackBytes / readers);
  expect(rss).toBeLessThan(readers * maxBytesPerStream + slackRssBytes);

  for (const stream of streams) {
    const { end } = await stream.until(each => each.end !== undefined);
    expect(end?.how).toMatch(/^client-/);
  }
  for (const { socket } of clients) socket.destroy();
});

const limits = {
  client_stall_ms: clientStallMs,
  // Each of them must get its stream, however slow the machine was at first: what is refused then is no slow reader.
  concurrency: { initial: readers * 2, min: readers * 2 },
  listen: { port: 0, max_requests_in_flight: 4096, max_event_loop_delay_ms: 60_000 },
};

/** Some streams that are read, so that code is compiled and caches are full before anything is measured. */
async function warmUp(gateway: { url: string; key: string }): Promise<void> {
  upstream.use([
    eventStreamHead,
    { op: 'repeat', bytes: delta, times: 50 },
    { op: 'write', bytes: 'data: [DONE]\n\n' },
  ]);
  const read = async () => {
    const client = new RawClient(gateway);
    client.send(chatRequest({ stream: true }));
    await client.until('[DONE]');
    client.socket.destroy();
  };
  // Few at once: the connections that they leave are used again and would not be counted.
  for (let round = 0; round < 16; round++) await Promise.all([read(), read(), read(), read()]);
}

/** The head, then a byte a second, as long as there is a connection. */
function readSlowly({ socket }: RawClient): void {
  socket.pause();
  const timer = setInterval(() => socket.read(1), 1000);
  socket.once('close', () => clearInterval(timer));
}

/** Resolves when the upstream could send nothing more for a while: everybody waits for somebody slower. */
async function quiet({ requests }: FakeUpstream, from: number): Promise<void> {
  const sent = () => requests.slice(from).reduce((sum, each) => sum + each.bodyBytesSent, 0);
  for (let last = -1; last !== sent(); ) {
    last = sent();
    await new Promise(resolve => setTimeout(resolve, 1000)); // long enough for a busy machine to send more if it could
  }
}

function rssOf(pid: number): number {
  const [, kib] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}
