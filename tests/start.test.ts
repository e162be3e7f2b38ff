import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@strata/shared/testing/private-server.ts';
import { afterEach, expect, test } from 'vitest';
import { root, type StackAddresses, smokeTest } from './smoke.ts';

/** The first of the README's two commands, as a newcomer meets it. */

const running: ChildProcess[] = [];
const folders: string[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

interface Stack {
  readonly urls: StackAddresses;
  readonly output: string;
  readonly readyAfterMs: number;
  stop(): Promise<number | null>;
}

async function start(dataDir: string, env: Record<string, string> = {}): Promise<Stack> {
  const [ai, mcp, agent, simulator] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    ['packages/cli/src/main.ts', 'start', '--simulator-port', String(simulator)],
    {
      cwd: root,
      env: {
        ...withoutProviderKeys(),
        STRATA_DATA_DIR: dataDir,
        STRATA_AI_GATEWAY__LISTEN__PORT: String(ai),
        STRATA_MCP_GATEWAY__LISTEN__PORT: String(mcp),
        STRATA_AGENT_GATEWAY__LISTEN__PORT: String(agent),
        ...env,
      },
    },
  );
  running.push(child);
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      if (/^Ready in .*\n/m.test(output)) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', code => reject(new Error(`ended with ${code}:\n${output}`)));
  });
  return {
    urls: {
      ai: `http://127.0.0.1:${ai}`,
      mcp: `http://127.0.0.1:${mcp}`,
      agent: `http://127.0.0.1:${agent}`,
    },
    output,
    readyAfterMs: performance.now() - startedAt,
    async stop() {
      const exited = once(child, 'exit');
      child.kill('SIGINT');
      const [code] = (await exited) as [number | null];
      return code;
    },
  };
}

function withoutProviderKeys(): NodeJS.ProcessEnv {
  const { OPENAI_API_KEY: _openai, ANTHROPIC_API_KEY: _anthropic, ...env } = process.env;
  return env;
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'strata-start-'));
  folders.push(folder);
  return folder;
}

test('a first start is ready soon, prints keys once with three lines that work, runs the example, and Ctrl-C ends it with 0', async () => {
  const dataDir = newFolder();
  const stack = await start(dataDir);
  expect(stack.readyAfterMs).toBeLessThan(30_000);
  expect(stack.output).not.toContain('\u001b[');
  for (const name of ['simulator', 'ai-gateway', 'mcp-gateway', 'agent-gateway']) {
    expect(
      stack.output.match(new RegExp(`^ {2}${name} +http://127.0.0.1:\\d+ +ready in`, 'gm')),
      name,
    ).toHaveLength(1);
  }
  const admin = /Admin key[^:]*: (\S+)/.exec(stack.output)?.[1] ?? '';
  const user = /Demo key[^:]*: +(\S+)/.exec(stack.output)?.[1] ?? '';
  const lines = stack.output.split('\n').filter(line => line.startsWith('curl '));
  const answers = lines.map(
    line => JSON.parse(execFileSync('sh', ['-c', line], { encoding: 'utf8' })) as object,
  );
  expect(answers).toHaveLength(3);
  expect(answers[0]).toMatchObject({ object: 'chat.completion' });
  expect(answers[1]).toMatchObject({ jsonrpc: '2.0', result: { protocolVersion: '2025-11-25' } });
  expect(answers[2]).toMatchObject({ status: 'completed' });

  await smokeTest(stack.urls, { user, admin });
  expectNoSecretIn(dataDir, [admin, user]);
  expect(await stack.stop()).toBe(0);

  const again = await start(dataDir);
  expect(again.output).not.toContain('sk-strata-');
  expect(await again.stop()).toBe(0);
});

/** The keys are stored hashed: no file of the installation holds one. */
function expectNoSecretIn(folder: string, secrets: readonly string[]): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name);
    if (!statSync(path).isFile()) continue;
    const content = readFileSync(path, 'latin1');
    for (const secret of secrets) expect(content.includes(secret), `${name} holds a key`).toBe(false);
  }
}

test('with a provider configured there is no simulator', async () => {
  const stack = await start(newFolder(), {
    STRATA_AI_GATEWAY__PROVIDERS: '{main: {type: openai, api_key: not-a-real-key}}',
    STRATA_AI_GATEWAY__MODELS: '{fast: {targets: [{provider: main, model: gpt-5-mini}]}}',
  });
  expect(stack.output).not.toContain('simulator');
  expect(await stack.stop()).toBe(0);
});

test('a wrong configuration starts nothing, says everything, and ends with 2', async () => {
  const child = spawn(process.execPath, ['packages/cli/src/main.ts', 'start'], {
    cwd: root,
    env: {
      ...withoutProviderKeys(),
      STRATA_DATA_DIR: newFolder(),
      STRATA_AI_GATEWAY__LISTEN__PORT: 'many',
      STRATA_MCP_GATEWAY__LISTN__PORT: '1',
    },
  });
  let text = '';
  child.stderr.on('data', chunk => {
    text += String(chunk);
  });
  const [code] = (await once(child, 'exit')) as [number];
  expect(code).toBe(2);
  expect(text).toContain('2 problems');
  expect(text).toContain(
    'ai_gateway.listen.port (STRATA_AI_GATEWAY__LISTEN__PORT): found "many" (string), expected number',
  );
  expect(text).toContain("did you mean 'STRATA_MCP_GATEWAY__LISTEN__PORT'?");
});
