import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createOrigin, joinPath } from './origin.ts';

test.each([
  ['http://up/base', '/v1/x?y=1', '/base/v1/x?y=1'],
  ['http://up/base/', '/v1', '/base/v1'],
  ['http://up', '/v1', '/v1'],
  ['http://up', '', '/'],
  ['http://up/', '', '/'],
  ['http://up/base', '', '/base'],
  ['http://up/base', '/', '/base/'],
  ['http://up/base', '/a/..b/.c/...', '/base/a/..b/.c/...'],
  ['http://up/base', '/x?next=../..//y', '/base/x?next=../..//y'],
  ['http://up/base', '/model%2Fname:generate', '/base/model%2Fname:generate'],
  ['http://up/base', '/user@example.com', '/base/user@example.com'],
])('%s and %s are joined to %s', (base, path, expected) => {
  expect(joinPath(new URL(base), path)).toBe(expected);
});

test.each([
  ...[
    '//evil.example/x',
    '///evil',
    '/../admin',
    '/a/..',
    '/./a',
    '/a/.',
    'relative',
    '?query',
    '@evil/',
    '#',
  ],
  ...[
    '/a/%2e%2e/b',
    '/a/.%2E/b',
    '/a/%2e',
    '/..%2fadmin',
    '/a%2f..%2fb',
    '/a%5c..%5cb',
    '/a/..;/b',
    '/..;x=1',
  ],
  ...[
    '/a#b',
    '/a\\b',
    '\\evil',
    '/\\evil',
    'http://evil/',
    'https:/evil',
    '/a b',
    '/a\tb',
    '/a\r\nx: y',
    '/a\0',
  ],
  ...['/ä', '/\u3002', '/a\u2028b', '/a\x7f', ' /a', '\n/a'],
])('[A3] [C13] %j cannot be a path', path => {
  expect(() => joinPath(new URL('http://up/base'), path)).toThrow(
    expect.objectContaining({ kind: 'invalid_request', reason: 'path_not_allowed' }),
  );
});

test('[A3] whatever the path, the request stays at its origin and under its base path', () => {
  const piece = fc.constantFrom(
    '/',
    '.',
    '..',
    '%2e',
    '%2F',
    '%5C',
    '\\',
    '@',
    '#',
    '?',
    ':',
    ';',
    'a',
    'evil.example',
    '//',
  );
  const crafted = fc.array(piece, { maxLength: 8 }).map(pieces => pieces.join(''));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.webPath(), crafted), text => {
      for (const candidate of [text, `/${text}`]) {
        let joined: string;
        try {
          joined = joinPath(new URL('http://up.example/base'), candidate);
        } catch {
          continue;
        }
        const url = new URL(joined, 'http://up.example');
        expect([url.host, url.hash]).toEqual(['up.example', '']);
        const decoded = url.pathname.replace(/%2f|%5c/gi, '/');
        expect(new URL(decoded, 'http://up.example').pathname).toMatch(/^\/base(?:\/|$)/);
      }
    }),
    { numRuns: 5000 },
  );
});

test('an origin keeps scheme, host, port and base path, and cannot be changed', () => {
  const origin = createOrigin({ name: 'x', url: 'HTTPS://Up.Example:8443/v1/', allowPrivate: false });
  expect(origin.url.href).toBe('https://up.example:8443/v1/');
  expect(Object.isFrozen(origin)).toBe(true);
});

test('[S19] an address literal is judged when the origin is made', () => {
  const make = (url: string, allowPrivate: boolean) => () => createOrigin({ name: 'x', url, allowPrivate });
  expect(make('http://127.0.0.1:4000', false)).toThrow(
    expect.objectContaining({ reason: 'destination_not_allowed' }),
  );
  expect(make('http://127.0.0.1:4000', true)).not.toThrow();
  expect(make('http://169.254.169.254', true)).toThrow(
    expect.objectContaining({ reason: 'destination_not_allowed' }),
  );
  expect(() =>
    createOrigin({ name: 'x', url: 'http://169.254.169.254', allowPrivate: false, allowMetadata: true }),
  ).not.toThrow();
});
