import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';

const workers: Worker[] = [];
afterEach(() => {
  for (const worker of workers.splice(0)) worker.process.kill('SIGKILL');
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => server.close(resolve));
  return port;
}

async function startWorker(port: number, drainTimeoutMs: number): Promise<Worker> {
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({
    exec: join(import.meta.dirname, 'fixtures/drain-worker.ts'),
    args: [String(port), String(drainTimeoutMs)],
    execArgv: [],
  });
  const worker = cluster.fork();
  workers.push(worker);
  await once(worker, 'message');
  return worker;
}

/** One request with no second try: whatever goes wrong on the socket is the result. */
function request(port: number, path: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = get({ host: '127.0.0.1', port, path, agent }, response => {
      let body = '';
      response.on('data', chunk => {
        body += String(chunk);
      });
      response.on('end', () => resolve(body));
      response.on('error', reject);
    });
    outgoing.on('error', reject);
  });
}

test('[F3] [F5] SIGTERM during 200 open streams and steady load, three times: no request fails, no stream is cut', async () => {
  const port = await freePort();
  let current = await startWorker(port, 20_000);
  const failures: string[] = [];
  let answered = 0;
  let loading = true;
  const load = Array.from({ length: 40 }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (loading) {
      await request(port, '/quick', agent).then(
        () => answered++,
        (error: Error) => failures.push(`load: ${error.message}`),
      );
    }
    agent.destroy();
  });

  for (let restart = 0; restart < 3; restart++) {
    const streams = Array.from({ length: 200 }, () =>
      request(port, '/stream?events=25&everyMs=80', new Agent()),
    );
    const old = current;
    current = await startWorker(port, 20_000);
    const exited = once(old.process, 'exit');
    old.process.kill('SIGTERM');
    for (const stream of await Promise.allSettled(streams)) {
      if (stream.status === 'rejected') failures.push(`stream: ${String(stream.reason)}`);
      else if (!stream.value.endsWith('data: 24\n\ndata: [DONE]\n\n'))
        failures.push(`short: ${stream.value.slice(-40)}`);
    }
    expect(await exited).toEqual([0, null]);
  }
  loading = false;
  await Promise.all(load);
  expect(failures).toEqual([]);
  expect(answered).toBeGreaterThan(1000);
});

test('a stream that outlives the drain ends with the error of its protocol, and the process ends with 0', async () => {
  const port = await freePort();
  const worker = await startWorker(port, 300);
  const endless = request(port, '/stream?events=100000&everyMs=20', new Agent());
  const exited = once(worker.process, 'exit');
  await request(port, '/quick', new Agent());
  worker.process.kill('SIGTERM');
  const events = (await endless).trimEnd().split('\n\n');
  expect(JSON.parse(events.at(-1)?.slice('data: '.length) ?? '')).toMatchObject({
    error: { code: 'draining' },
  });
  expect(await exited).toEqual([0, null]);
});

test('connections that were opened ahead and never used hold up no drain', async () => {
  const port = await freePort();
  const worker = await startWorker(port, 120_000);
  const ahead = Array.from({ length: 5 }, () => connect(port, '127.0.0.1'));
  await Promise.all(ahead.map(socket => once(socket, 'connect')));
  await request(port, '/quick', new Agent()); // they were taken before it
  const exited = once(worker.process, 'exit');
  worker.process.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  for (const socket of ahead) socket.destroy();
}, 60_000);
