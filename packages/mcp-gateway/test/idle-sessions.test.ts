import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { headersFor, initializeBody } from './raw-client.ts';
import { fixture, node, type TestGateway } from './start-gateway.ts';

/** Many sessions that wait with an open stream each: what they take, and that none is dropped. */
const sessions = sized({ ci: 1000, soak: 10_000 });
const waitMs = sized({ ci: 2000, soak: 600_000 });
const openAtOnce = 32;

let folder: string;
let child: ChildProcess;
let gateway: TestGateway;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-idle-'));
  const options = {
    dataDir: folder,
    section: {
      listen: { port: 0 },
      sessions: { max_per_principal: 20_000 },
      servers: { one: { type: 'stdio', command: [node, fixture('scripted-server.ts')], sharing: 'shared' } },
    },
  };
  child = spawn(node, [fixture('replica-process.ts'), JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout as NonNullable<ChildProcess['stdout']> });
  const { url, key } = JSON.parse(await new Promise<string>(resolve => lines.once('line', resolve)));
  gateway = { url: new URL(url), userKey: key } as TestGateway;
});

afterAll(() => {
  child?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const rssBytes = () =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024;

async function openSession(): Promise<string> {
  const headers = headersFor(gateway);
  const opened = await fetch(gateway.url, { method: 'POST', headers, body: initializeBody() });
  await opened.text();
  return opened.headers.get('mcp-session-id') ?? '';
}

/** The session's own stream, over a plain socket: 10,000 of anything larger would be the test's own load. */
function openStream(session: string, onDropped: () => void): Promise<Socket> {
  const lines = [
    'GET /mcp HTTP/1.1',
    `Host: ${gateway.url.host}`,
    `Authorization: Bearer ${gateway.userKey}`,
    'Accept: text/event-stream',
    `Mcp-Session-Id: ${session}`,
    'MCP-Protocol-Version: 2025-11-25',
  ];
  return new Promise((resolve, reject) => {
    const socket = connect(Number(gateway.url.port), '127.0.0.1');
    socket.once('error', reject);
    socket.once('close', onDropped);
    socket.once('data', (chunk: Buffer) => {
      if (chunk.toString('latin1', 0, 12) === 'HTTP/1.1 200') resolve(socket);
      else reject(new Error(chunk.toString('latin1', 0, 200)));
    });
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  });
}

test(
  '[F62] sessions that wait cost little each, and none is dropped',
  async () => {
    const sockets: Socket[] = [];
    let dropped = 0;
    const before = rssBytes();
    const openSome = async (count: number) => {
      for (let index = 0; index < count; index++) {
        sockets.push(await openStream(await openSession(), () => dropped++));
      }
    };
    await Promise.all(Array.from({ length: openAtOnce }, () => openSome(Math.ceil(sessions / openAtOnce))));
    await new Promise(resolve => setTimeout(resolve, waitMs));
    const rss = rssBytes();
    const each = (rss - before) / sockets.length;
    console.info(
      `${sockets.length} sessions: ${(rss / 1024 ** 2).toFixed(0)} MB, ${(each / 1024).toFixed(1)} KB each, ${dropped} dropped`,
    );
    expect(dropped).toBe(0);
    expect(rss).toBeLessThan(512 * 1024 ** 2);
    for (const socket of sockets) socket.removeAllListeners('close').destroy();
  },
  sized({ ci: 120_000, soak: 1_500_000 }),
);
