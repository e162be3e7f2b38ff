import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { root } from './smoke.ts';

/** The life of a gateway process: configuration that changes under it, and the ways in which it ends. */

const running: ChildProcess[] = [];
const folders: string[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function startGateway(text: string, nodeOptions: readonly string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), 'strata-service-'));
  folders.push(folder);
  const file = join(folder, 'strata.yaml');
  writeFileSync(file, text);
  const env = {
    ...process.env,
    STRATA_CONFIG: file,
    STRATA_DATA_DIR: folder,
    STRATA_AI_GATEWAY__LISTEN__PORT: '0',
  };
  const child = spawn(process.execPath, [...nodeOptions, join(root, 'packages/ai-gateway/src/main.ts')], {
    env,
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  running.push(child);
  let log = '';
  const waiting: { text: string; found: () => void }[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', chunk => {
      log += String(chunk);
      for (const each of waiting) if (log.includes(each.text)) each.found();
    });
  }
  const started = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => undefined)]);
  if (started === undefined) throw new Error(`The gateway did not start:\n${log}`);
  const [message] = started as [{ url: string }];
  const makeKey = [join(root, 'packages/shared/src/create-key.ts'), '--name', 't', '--principal', 't'];
  const key = execFileSync(process.execPath, makeKey, { env, encoding: 'utf8' }).trim();
  return {
    child,
    folder,
    file,
    models: async () => {
      const response = await fetch(`${message.url}/v1/models`, {
        headers: { authorization: `Bearer ${key}` },
      });
      return ((await response.json()) as { data: { id: string }[] }).data.map(each => each.id);
    },
    /** Resolves when the log says a text after now. */
    logged(text: string): Promise<void> {
      log = '';
      return new Promise(resolve => waiting.push({ text, found: resolve }));
    },
  };
}

const withModels = (...names: string[]) => `
ai_gateway:
  providers: { main: { type: openai, api_key: k } }
  models:
${names.map(name => `    ${name}: { targets: [{ provider: main, model: m }] }`).join('\n')}
`;

test('a changed file takes effect as a whole; a wrong one is refused with its mistakes and the old one stays; SIGHUP reads it again', async () => {
  const gateway = await startGateway(withModels('one'));
  expect(await gateway.models()).toEqual(['one']);

  const reloaded = gateway.logged('configuration reloaded');
  writeFileSync(gateway.file, withModels('one', 'two'));
  await reloaded;
  expect(await gateway.models()).toEqual(['one', 'two']);

  const refused = gateway.logged('the old one stays in force');
  writeFileSync(gateway.file, `${withModels('three')}  listn: {}\n`);
  await refused;
  expect(await gateway.models()).toEqual(['one', 'two']);

  const again = gateway.logged('configuration re');
  gateway.child.kill('SIGHUP');
  await again;
  expect(await gateway.models()).toEqual(['one', 'two']);
});

test('SIGTERM ends it with 0, a lost parent too', async () => {
  const first = await startGateway('');
  const exited = once(first.child, 'exit');
  first.child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);

  const second = await startGateway('');
  const gone = once(second.child, 'exit');
  second.child.disconnect();
  expect(await gone).toEqual([0, null]);
});

test('a configuration with mistakes of every kind ends it with 2 and says all of them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'strata-service-'));
  folders.push(folder);
  const file = join(folder, 'strata.yaml');
  writeFileSync(
    file,
    `
ai_gateway:
  listn: {}
  listen: { port: many }
  providers: { main: { type: openai, api_key: '\${env:STRATA_TEST_NOT_SET}' } }
  models: { one: { targets: [{ provider: mian, model: m }] } }
`,
  );
  const child = spawn(process.execPath, [join(root, 'packages/ai-gateway/src/main.ts')], {
    env: { ...process.env, STRATA_CONFIG: file },
  });
  let text = '';
  child.stderr.on('data', chunk => {
    text += String(chunk);
  });
  expect(await once(child, 'close')).toEqual([2, null]);
  expect(text).toContain("ai_gateway.listn (line 3): unknown key; did you mean 'listen'?");
  expect(text).toContain('ai_gateway.listen.port (line 4): found "many" (string), expected number');
  expect(text).toContain('${env:STRATA_TEST_NOT_SET} is not set');
  expect(text).toContain("did you mean 'main'?");
});

test('[S21] a process that dies leaves neither a report nor its memory, whatever Node was started with', async () => {
  const reports = ['--report-on-signal', '--report-signal=SIGUSR2', '--report-on-fatalerror'];
  const { child, folder, models } = await startGateway(withModels('a'), reports);
  expect(readFileSync(`/proc/${child.pid}/coredump_filter`, 'utf8').trim()).toMatch(/^0+$/);
  const ended = once(child, 'exit');
  child.kill('SIGUSR2');
  await models().catch(() => undefined); // it is dead by then, or has written a report
  child.kill('SIGABRT');
  await ended;
  expect(readdirSync(folder).filter(name => /report|^core/.test(name))).toEqual([]);
});
