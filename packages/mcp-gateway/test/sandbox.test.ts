import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRawClient, type RawClient, resultText } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

/** A server in a real sandbox (bubblewrap) tries to reach the machine. */
let folder: string;
let gateway: TestGateway;
let client: RawClient;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-sandbox-'));
  for (const name of ['allowed', 'kept', 'secret']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'allowed/a.txt'), 'allowed');
  writeFileSync(join(folder, 'secret/key'), 'secret');
  gateway = await startGateway({
    servers: {
      inside: {
        type: 'stdio',
        command: [node, fixture('escaping-server.ts')],
        limits: { open_files: 512, file_bytes: 1_000_000 },
        sandbox: {
          read: [dirname(node), dirname(fixture('x')), join(folder, 'allowed')],
          write: [join(folder, 'kept')],
          processes: 40,
        },
      },
      outside: { type: 'stdio', command: [node, fixture('escaping-server.ts')] },
    },
  });
  client = await openRawClient(gateway);
});

afterAll(async () => {
  await gateway?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function attempt(what: object, server = 'inside'): Promise<string> {
  return resultText((await client.call('1', `${server}__attempt`, { ...what })).at(-1));
}

test('[M4] it reads and writes what is listed, and nothing else is there', async () => {
  expect(await attempt({ read: join(folder, 'allowed/a.txt') })).toBe('allowed');
  expect(await attempt({ write: join(folder, 'kept/new.txt') })).toBe('written');
  expect(await attempt({ write: join(folder, 'allowed/new.txt') })).toBe('EROFS');
  expect(await attempt({ list: homedir() })).toBe('[]');
  for (const path of ['/etc/shadow', '/etc/passwd', join(folder, 'secret/key'), '/var/log']) {
    expect(await attempt({ read: path }), path).toBe('ENOENT');
  }
  // The same attempts succeed where there is no sandbox: it is the sandbox that stops them.
  expect(await attempt({ read: join(folder, 'secret/key') }, 'outside')).toBe('secret');
});

test('[M4] it reaches no network: not the gateway, not another machine, not the metadata of a cloud', async () => {
  const own = ['127.0.0.1', Number(gateway.url.port)];
  expect(await attempt({ connect: own }, 'outside')).toBe('connected');
  expect(await attempt({ connect: own })).toBe('ECONNREFUSED');
  expect(await attempt({ connect: ['169.254.169.254', 80] })).toBe('ENETUNREACH');
});

test('[M4] it sees no process but its own, and starts no more than it may', async () => {
  expect(await attempt({ signal: process.pid }, 'outside')).toBe('true');
  expect(await attempt({ signal: process.pid })).not.toBe('true');
  expect(await attempt({ read: '/proc/self/limits' })).toMatch(/Max processes +40 +40 /);
  // The kernel counts no processes of root; of anybody else it refuses those past the limit.
  const isCounted = process.getuid?.() !== 0;
  expect(Number(await attempt({ start: 60 }))).toBeLessThanOrEqual(isCounted ? 40 : 60);
  expect(await attempt({ read: '/proc/self/status' })).toMatch(
    /NoNewPrivs:\s+1[\s\S]*CapEff:|CapEff:\s+0+[\s\S]*NoNewPrivs:\s+1/,
  );
});
