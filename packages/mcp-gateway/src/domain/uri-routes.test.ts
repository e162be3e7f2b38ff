import { expect, test } from 'vitest';
import { createUriRoutes } from './uri-routes.ts';

const routes = () => createUriRoutes({ servers: () => ['a', 'b'] });

test('a URI that one server lists keeps its form', () => {
  const table = routes();
  table.setListed('a', [{ key: 'demo://1' }]);
  expect(table.expose('a', 'demo://1')).toBe('demo://1');
  expect(table.resolve('demo://1')).toEqual({ type: 'found', server: 'a', uri: 'demo://1' });
});

test('[resource URIs] a URI that two servers list gets the prefix on both, and the bare form is ambiguous', () => {
  const table = routes();
  table.setListed('a', [{ key: 'demo://1' }]);
  table.setListed('b', [{ key: 'demo://1' }]);
  expect(table.expose('a', 'demo://1')).toBe('a+demo://1');
  expect(table.resolve('b+demo://1')).toEqual({ type: 'found', server: 'b', uri: 'demo://1' });
  expect(table.resolve('demo://1')).toEqual({ type: 'ambiguous', servers: ['a', 'b'] });
});

test('a link that no list names is told apart wherever another server could have the same, and by no order of calls', () => {
  const table = routes();
  expect(table.resolve('demo://x')).toEqual({ type: 'unknown' });
  expect(table.expose('b', 'demo://x')).toBe('b+demo://x');
  expect(table.expose('a', 'demo://x')).toBe('a+demo://x');
  const elsewhere = routes();
  expect(elsewhere.resolve('b+demo://x')).toEqual({ type: 'found', server: 'b', uri: 'demo://x' });
});

test('a link that no list names keeps its form where no other server has resources, and where it is a page of the web', () => {
  const table = routes();
  table.setListed('a', []);
  table.setTemplates('a', []);
  expect(table.expose('b', 'demo://x')).toBe('demo://x');
  expect(table.resolve('demo://x')).toMatchObject({ server: 'b' });
  expect(routes().expose('b', 'https://example.com/')).toBe('https://example.com/');
  const alone = createUriRoutes({ servers: () => ['a', 'b'], hasResources: server => server === 'b' });
  expect(alone.expose('b', 'demo://x')).toBe('demo://x');
});

test('a link does not take a URI from the server whose template it fits', () => {
  const table = routes();
  table.expose('b', 'https://example.com/text/7');
  table.setTemplates('a', [{ key: 'https://example.com/text/{id}' }]);
  expect(table.resolve('https://example.com/text/7')).toMatchObject({ server: 'a' });
});

test('a URI that was restored keeps the form its client knows, whatever the lists say', () => {
  const table = routes();
  table.restore('a', 'demo://1', 'demo://1');
  expect(table.expose('a', 'demo://1')).toBe('demo://1');
});

test('templates route the URIs made from them; a template of two servers is prefixed', () => {
  const table = routes();
  table.setTemplates('a', [{ key: 'demo://text/{id}' }]);
  expect(table.resolve('demo://text/7')).toMatchObject({ server: 'a', uri: 'demo://text/7' });
  table.setTemplates('b', [{ key: 'demo://text/{id}' }]);
  expect(table.exposeTemplate('b', 'demo://text/{id}')).toBe('b+demo://text/{id}');
  expect(table.resolve('b+demo://text/7')).toMatchObject({ server: 'b', uri: 'demo://text/7' });
  expect(table.expose('a', 'demo://text/7')).toBe('a+demo://text/7');
  expect(table.resolve('demo://text/7').type).toBe('ambiguous');
});

test('a client that wrote the prefix gets it back, also where it was not needed', () => {
  const table = routes();
  expect(table.resolve('a+demo://x')).toMatchObject({ server: 'a', uri: 'demo://x' });
  expect(table.expose('a', 'demo://x')).toBe('a+demo://x');
});

test('a scheme with a plus is not a prefix', () => {
  const table = createUriRoutes({ servers: () => ['git'] });
  table.setListed('x', [{ key: 'git+https://host/r' }]);
  expect(table.resolve('git+https://host/r')).toMatchObject({ server: 'x', uri: 'git+https://host/r' });
});

test('pages of apps keep their scheme when two servers claim them', () => {
  const table = routes();
  table.setListed('a', [{ key: 'ui://page/main' }]);
  table.setListed('b', [{ key: 'ui://page/main' }]);
  expect(table.expose('b', 'ui://page/main')).toBe('ui://b/page/main');
  expect(table.resolve('ui://b/page/main')).toEqual({ type: 'found', server: 'b', uri: 'ui://page/main' });
});

test('the memory for links is bounded', () => {
  const table = createUriRoutes({ servers: () => ['a'] });
  for (let index = 0; index < 5000; index++) table.expose('a', `demo://${index}`);
  expect(table.resolve('demo://0').type).toBe('unknown');
  expect(table.resolve('demo://4999').type).toBe('found');
});
