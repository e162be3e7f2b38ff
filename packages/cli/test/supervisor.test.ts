import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Supervisor } from '@strata/cli/start/supervisor.ts';
import { afterEach, expect, test } from 'vitest';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function open(script: string) {
  const folder = mkdtempSync(join(tmpdir(), 'strata-supervisor-'));
  folders.push(folder);
  writeFileSync(join(folder, 'script'), script);
  writeFileSync(join(folder, 'starts'), '');
  const seen: string[] = [];
  let noticed: () => void = () => {};
  const supervisor = new Supervisor(join(folder, 'logs'), {
    onReady: (name, url) => seen.push(`${name} ready at ${url}`),
    onNotice: (_name, text) => {
      seen.push(text);
      if (text === 'plain words') noticed();
    },
    onRestart: (_name, reason) => seen.push(reason),
    onGivenUp: (_name, reason) => seen.push(`given up: ${reason}`),
  });
  const service = {
    name: 'service',
    args: [join(import.meta.dirname, 'fixtures/service.ts'), join(folder, 'script'), join(folder, 'starts')],
    env: process.env,
  };
  const spoken = new Promise<void>(resolve => {
    noticed = resolve;
  });
  return { supervisor, service, seen, spoken, folder };
}

test('a service that ends is started again; warnings and plain words of its log are shown, all of it is kept', async () => {
  const { supervisor, service, seen, spoken, folder } = open('1 serve');
  expect(await supervisor.start(service)).toBe('http://127.0.0.1:1');
  await spoken;
  expect(seen).toEqual(
    expect.arrayContaining([
      'ended with code 1',
      'service ready at http://127.0.0.1:1',
      'look here (disk=full)',
      'plain words',
    ]),
  );
  expect(seen).not.toContain('quiet');
  await supervisor.stop();
  expect(readFileSync(join(folder, 'logs/service.log'), 'utf8')).toContain('"msg":"quiet"');
});

test('a service whose configuration is wrong is not started again', async () => {
  const { supervisor, service, seen } = open('2 serve');
  void supervisor.start(service);
  expect(await supervisor.failed).toBe(2);
  expect(seen).toEqual(['given up: ended with code 2']);
  await supervisor.stop();
});

test('a service that ends again and again is given up', async () => {
  const { supervisor, service, seen } = open('1 1 1 1 1 1 serve');
  void supervisor.start(service);
  expect(await supervisor.failed).toBe(1);
  expect(seen.at(-1)).toBe('given up: ended with code 1');
  await supervisor.stop();
});
