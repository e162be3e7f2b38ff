import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

/** What `docs/mcp-gateway.md` tells people to write for their clients: programs run as they stand there, files are what clients read. */
const page = readFileSync(join(import.meta.dirname, '../../../docs/mcp-gateway.md'), 'utf8');
const address = 'http://127.0.0.1:4200/mcp';
const run = promisify(execFile);

let gateway: TestGateway;
let folder: string;

beforeAll(async () => {
  gateway = await startGateway({
    servers: { pipe: { type: 'stdio', command: [node, fixture('scripted-server.ts')] } },
  });
  // Below this package, so that the programs find the SDKs.
  const cache = join(import.meta.dirname, '../node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  folder = mkdtempSync(join(cache, 'recipes-'));
});

afterAll(async () => {
  await gateway?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The first block in this language after a heading in bold. */
function recipe(heading: string, language: string): string {
  const at = page.indexOf(`**${heading}**`);
  expect(at, heading).toBeGreaterThan(-1);
  const [, block] = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(page.slice(at)) ?? [];
  return block ?? '';
}

test.each(['TypeScript SDK 1.x', 'TypeScript SDK 2.x'])(
  'the recipe for the %s connects and lists tools',
  async sdk => {
    const program = recipe(sdk, 'ts');
    expect(program).toContain(address);
    const file = join(folder, `${sdk.replaceAll(/\W/g, '-')}.mjs`);
    const more =
      'const { tools } = await client.listTools();\nconsole.log(tools[0].name);\nawait client.close();\n';
    writeFileSync(file, program.replace(address, gateway.url.href) + more);
    const { stdout } = await run(node, [file], { env: { ...process.env, STRATA_KEY: gateway.userKey } });
    expect(stdout.trim()).toBe('pipe__echo');
  },
);

test.each([
  ['Claude Desktop', 'mcpServers'],
  ['Cursor', 'mcpServers'],
  ['VS Code', 'servers'],
])('the file for %s is valid and names the gateway and a key', (client, member) => {
  const file = JSON.parse(recipe(client, 'json')) as Record<string, { strata?: unknown }>;
  const text = JSON.stringify(file[member]?.strata);
  expect(text).toContain(address);
  expect(text).toMatch(/Authorization/);
});

test('the request that a command of Claude Code makes its client send is answered', async () => {
  const command = recipe('Claude Code', 'sh');
  const [, header = '', scheme = ''] = /--header "(\w+): (\w+) sk-strata-…"/.exec(command) ?? [];
  expect(command).toContain(`--transport http strata ${address}`);
  const response = await fetch(gateway.url, {
    method: 'POST',
    headers: {
      [header]: `${scheme} ${gateway.userKey}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}},"clientInfo":{"name":"claude-code","version":"2"}}}',
  });
  expect(response.status).toBe(200);
});
