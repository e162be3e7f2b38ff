import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';

export const root = resolve(import.meta.dirname, '..');

export interface StackAddresses {
  readonly ai: string;
  readonly mcp: string;
  readonly agent: string;
}

export interface StackKeys {
  readonly user: string;
  readonly admin: string;
}

/** The main job of each gateway, then all three in one run: the example, as its README says to start it. */
export async function smokeTest(urls: StackAddresses, keys: StackKeys): Promise<void> {
  for (const url of Object.values(urls)) {
    const ready = await fetch(`${url}/readyz`);
    expect([url, ready.status, ((await ready.json()) as { status: string }).status]).toEqual([
      url,
      200,
      'ready',
    ]);
  }
  const chat = await post(`${urls.ai}/v1/chat/completions`, keys.user, {
    model: 'demo',
    messages: [{ role: 'user', content: 'Hello!' }],
  });
  expect(chat).toMatchObject({ object: 'chat.completion', choices: [{ message: { role: 'assistant' } }] });
  expect((await fetch(`${urls.ai}/v1/models`, { headers: { authorization: 'Bearer wrong' } })).status).toBe(
    401,
  );
  const example = await runProgram(['examples/first-workflow/run.ts'], {
    STRATA_KEY: keys.user,
    STRATA_ADMIN_KEY: keys.admin,
    STRATA_AGENT_URL: urls.agent,
    STRATA_AI_URL: urls.ai,
    STRATA_MCP_URL: urls.mcp,
  });
  expect(example.output).toContain('never loses a run');
  expect(example.output).toMatch(/Cost: 0\.\d+ USD/);
  expect(example.code).toBe(0);
  const patterns = await runProgram(['examples/patterns/run.ts'], {
    STRATA_KEY: keys.user,
    STRATA_AGENT_URL: urls.agent,
  });
  expect([patterns.code, patterns.output.trim().split('\n').length], patterns.output).toEqual([0, 8]);
}

async function post(url: string, key: string, body: object): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return response.json();
}

/** Runs a Node program of this repository to its end. */
export async function runProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [join(root, args[0] ?? ''), ...args.slice(1)], {
    cwd: root,
    env: { ...process.env, ...env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', chunk => {
      output += String(chunk);
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}
