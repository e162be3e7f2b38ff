import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { sized } from '@strata/shared/testing/size.ts';
import { expect, onTestFinished, test } from 'vitest';
import { isAlive, openRawClient, resultText, until } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

const childCount = sized({ ci: 4, soak: 20 });
const kills = sized({ ci: 2, soak: 50 });

async function startProcess(): Promise<{
  process: ChildProcess;
  gateway: Pick<TestGateway, 'url' | 'userKey'>;
}> {
  const child = spawn(node, [fixture('gateway-process.ts'), String(childCount)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const [line] = await new Promise<string[]>(resolve => lines.once('line', text => resolve([text])));
  const { url, key } = JSON.parse(line ?? '') as { url: string; key: string };
  return { process: child, gateway: { url: new URL(url), userKey: key } };
}

/** A killed process stays in the table until its parent looks; it is gone all the same. */
async function isRunning(pid: number): Promise<boolean> {
  if (!isAlive(pid)) return false;
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return !/\) [ZX]/.test(stat);
}

test(
  '[MCP-4][F53] kill -9 of the gateway: no server and no child of a server survives two seconds',
  async () => {
    for (let round = 0; round < kills; round++) {
      const started = await startProcess();
      onTestFinished(() => void started.process.kill('SIGKILL'));
      const client = await openRawClient(started.gateway as TestGateway);
      const names = Array.from({ length: childCount }, (_, index) => [
        `s${index}__pid`,
        `s${index}__grandchild`,
      ]).flat();
      const pids = await Promise.all(
        names.map(async name => Number(resultText((await client.call('1', name)).at(-1)))),
      );
      expect(pids.every(pid => pid > 0 && isAlive(pid))).toBe(true);
      expect(new Set(pids).size, 'a process each').toBe(2 * childCount);
      started.process.kill('SIGKILL');
      await until(
        async () => (await Promise.all(pids.map(isRunning))).every(alive => !alive),
        'the end of every process',
        2000,
      );
    }
  },
  sized({ ci: 60_000, soak: 1_800_000 }),
);

test('[M-6] a gateway that closes leaves no process, not even a stubborn one', async () => {
  const gateway = await startGateway({
    servers: {
      own: { type: 'stdio', command: [node, fixture('scripted-server.ts')] },
      stubborn: {
        type: 'stdio',
        command: [node, fixture('scripted-server.ts'), 'stubborn'],
        sharing: 'shared',
        stop_grace_ms: 100,
      },
    },
  });
  const client = await openRawClient(gateway);
  const pids: number[] = [];
  for (const name of ['own__pid', 'own__grandchild', 'stubborn__pid', 'stubborn__grandchild']) {
    pids.push(Number(resultText((await client.call('1', name))[0])));
  }
  await gateway.close();
  await until(async () => (await Promise.all(pids.map(isRunning))).every(alive => !alive), 'the end', 2000);
});
