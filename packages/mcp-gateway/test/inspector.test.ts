import { execFile } from 'node:child_process';
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { node, serverScript, startGateway, type TestGateway } from './start-gateway.ts';

const run = promisify(execFile);
const require = createRequire(import.meta.url);
let gateway: TestGateway;
let folder: string;
let inspector: string;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'strata-inspector-')));
  const manifest = require.resolve('@modelcontextprotocol/inspector/package.json');
  const { bin } = JSON.parse(await readFile(manifest, 'utf8')) as { bin: Record<string, string> };
  inspector = join(dirname(manifest), bin['mcp-inspector'] ?? '');
  gateway = await startGateway({
    servers: {
      everything: { type: 'stdio', command: [node, serverScript('everything')] },
      files: { type: 'stdio', command: [node, serverScript('filesystem'), folder], sharing: 'shared' },
    },
  });
});

afterAll(async () => {
  await gateway?.close();
  await rm(folder, { recursive: true, force: true });
});

async function inspect(...args: string[]): Promise<unknown> {
  const { stdout } = await run(node, [
    inspector,
    '--cli',
    gateway.url.href,
    '--transport',
    'http',
    '--header',
    `Authorization: Bearer ${gateway.userKey}`,
    ...args,
  ]);
  return JSON.parse(stdout);
}

test('the MCP Inspector lists and calls the tools of two servers', async () => {
  const { tools } = (await inspect('--method', 'tools/list')) as { tools: { name: string }[] };
  const names = tools.map(tool => tool.name);
  expect(names).toEqual(expect.arrayContaining(['everything__echo', 'files__list_directory']));

  const echo = await inspect(
    '--method',
    'tools/call',
    '--tool-name',
    'everything__echo',
    '--tool-arg',
    'message=hi',
  );
  expect(echo).toMatchObject({ content: [{ type: 'text', text: 'Echo: hi' }] });
  const path = join(folder, 'note.txt');
  const write = [
    '--tool-name',
    'files__write_file',
    '--tool-arg',
    `path=${path}`,
    '--tool-arg',
    'content=written',
  ];
  await inspect('--method', 'tools/call', ...write);
  expect(await readFile(path, 'utf8')).toBe('written');
}, 60_000);

test.for(['legacy', 'modern', 'auto'])(
  'the MCP Inspector works in the era %s',
  { timeout: 60_000 },
  async era => {
    const list = (await inspect('--method', 'tools/list', '--protocol-era', era)) as {
      tools: { name: string }[];
    };
    expect(list.tools.map(tool => tool.name)).toContain('everything__echo');
    const call = ['--tool-name', 'everything__echo', '--tool-arg', 'message=hi'];
    const echo = await inspect('--method', 'tools/call', ...call, '--protocol-era', era);
    expect(echo).toMatchObject({ content: [{ type: 'text', text: 'Echo: hi' }] });
  },
);
