import { expect, test } from 'vitest';
import { mcpGatewaySection } from './config.ts';

const problems = (section: unknown) => {
  const result = mcpGatewaySection.safeParse(section);
  return result.success ? [] : result.error.issues.map(issue => `${issue.path.join('.')}: ${issue.code}`);
};
const stdio = { type: 'stdio', command: ['node', 'server.js'] };

test('nothing configured is a valid configuration', () => {
  expect(mcpGatewaySection.parse(undefined)).toMatchObject({ servers: {}, listen: { port: 4200 } });
});

test('unknown keys are refused, in the section and in a server', () => {
  expect(problems({ server: {} })).toEqual([': unrecognized_keys']);
  expect(problems({ servers: { a: { ...stdio, comand: 'x' } } })).toEqual(['servers.a: unrecognized_keys']);
});

test('[M1] a command is a list, never a line for a shell', () => {
  expect(problems({ servers: { a: { type: 'stdio', command: 'node server.js' } } })).toHaveLength(1);
  expect(problems({ servers: { a: { type: 'stdio', command: [] } } })).toHaveLength(1);
});

test('a header that could not be sent is a mistake of the configuration, not of every call', () => {
  const remote = (headers: object) =>
    problems({ servers: { a: { type: 'streamable-http', url: 'https://a.example/', headers } } });
  expect(remote({ authorization: 'Bearer x', 'X-Caf\u00e9': 'x' })).toHaveLength(1);
  expect(remote({ 'X-Key': 'a\r\nb: c' })).toHaveLength(1);
  expect(remote({ 'X-Key': '\u{1f511}' })).toHaveLength(1);
  expect(remote({ authorization: 'Bearer x', 'X-Key': 'caf\u00e9' })).toEqual([]);
});

test('[M3] variables that change which code runs are refused', () => {
  for (const name of ['NODE_OPTIONS', 'LD_PRELOAD', 'DYLD_INSERT_LIBRARIES', 'BASH_ENV']) {
    expect(problems({ servers: { a: { ...stdio, env: { [name]: 'x' } } } }), name).toHaveLength(1);
  }
  expect(problems({ servers: { a: { ...stdio, env: { API_KEY: 'x' } } } })).toEqual([]);
});

test('[M8] names of servers cannot hold what separates them from names of tools', () => {
  for (const name of ['a__b', '_a', 'a_', '', 'a.b', 'a+b', 'x'.repeat(33)]) {
    expect(problems({ servers: { [name]: stdio } }), name).toHaveLength(1);
  }
  for (const name of ['files', 'web-1', 'a_b'])
    expect(problems({ servers: { [name]: stdio } }), name).toEqual([]);
});

test('headers of the protocol cannot be configured, addresses must be HTTP', () => {
  const web = { type: 'streamable-http', url: 'https://tools.example/mcp' };
  expect(problems({ servers: { web } })).toEqual([]);
  for (const header of ['Mcp-Session-Id', 'Host', 'content-type']) {
    expect(problems({ servers: { web: { ...web, headers: { [header]: 'x' } } } }), header).toHaveLength(1);
  }
  for (const url of ['file:///etc/passwd', 'tools.example', 'ftp://x/']) {
    expect(problems({ servers: { web: { ...web, url } } }), url).toHaveLength(1);
  }
});

test('secrets do not show when the configuration is printed', () => {
  const parsed = mcpGatewaySection.parse({ servers: { a: { ...stdio, env: { API_KEY: 'canary-55' } } } });
  expect(JSON.stringify(parsed)).not.toContain('canary-55');
});
