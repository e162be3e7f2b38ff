import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createHeaderAllowlist, type HeaderFields, rebuildHeaders } from './headers.ts';

const allowed = createHeaderAllowlist([
  'content-type',
  'request-id',
  'retry-after',
  'x-ratelimit-*',
  'openai-*',
]);
const plain = (fields: HeaderFields) => ({ ...rebuildHeaders(fields, allowed) });

test('what is on the list passes, lower case, once', () => {
  expect(
    plain({
      'Content-Type': 'application/json',
      'X-RateLimit-Remaining': '7',
      'request-id': ['a', 'a'],
      'openai-beta': ['x', 'y'],
      'content-type': 'text/html',
    }),
  ).toEqual({
    'content-type': 'application/json',
    'x-ratelimit-remaining': '7',
    'request-id': 'a',
    'openai-beta': 'x, y',
  });
});

/** What a provider could send that no client of ours may get. */
const hostile: HeaderFields = {
  ...Object.fromEntries(
    [
      ...[
        'set-cookie',
        'Set-Cookie',
        'set-cookie2',
        'cookie',
        'authorization',
        'proxy-authorization',
        'x-api-key',
      ],
      ...[
        'connection',
        'keep-alive',
        'proxy-connection',
        'te',
        'trailer',
        'transfer-encoding',
        'upgrade',
        'host',
      ],
      ...[
        'content-length',
        'content-encoding',
        'expect',
        'http2-settings',
        'alt-svc',
        'strict-transport-security',
      ],
      ...[
        'server',
        'via',
        'x-powered-by',
        'cf-ray',
        'cf-cache-status',
        'x-amzn-requestid',
        'x-amz-cf-id',
        'x-cache',
      ],
      ...[
        'x-served-by',
        'x-envoy-upstream-service-time',
        'x-request-debug',
        'x-internal-host',
        'x-backend',
        'date',
      ],
      ...[
        'access-control-allow-origin',
        'access-control-allow-credentials',
        'content-security-policy',
        'location',
      ],
      ...[
        'refresh',
        'link',
        'www-authenticate',
        'proxy-authenticate',
        'x-forwarded-for',
        'forwarded',
        'x-real-ip',
      ],
      ...[
        'x-strata-cost-nano-usd',
        'x-strata-envelope',
        'traceparent',
        'tracestate',
        'baggage',
        'etag',
        'expires',
      ],
      ...[
        'last-modified',
        'set-login',
        'clear-site-data',
        'report-to',
        'nel',
        'x-accel-redirect',
        'x-sendfile',
      ],
      ...['x_ratelimit_remaining', 'openai_beta', 'x-ratelimit_x', '__proto__x', 'x-frame-options', 'pragma'],
    ].map(name => [name, 'hostile']),
  ),
  'x-ratelimit-split': 'a\r\nset-cookie: b=1',
  'x-ratelimit-nul': 'a\0b',
  'x-ratelimit-wide': 'a\u2028b',
  'x-ratelimit- space': 'hostile',
  'x-ratelimit-\r\nset-cookie': 'hostile',
};

test('[A17] sixty hostile headers: none pass', () => {
  expect(Object.keys(hostile).length).toBeGreaterThanOrEqual(60);
  expect(plain(hostile)).toEqual({});
});

test('what Connection names does not pass, on whatever list it is', () => {
  expect(plain({ Connection: 'close, Request-Id', 'request-id': 'a', 'retry-after': '1' })).toEqual({
    'retry-after': '1',
  });
});

test.each([
  'set-cookie',
  'connection',
  'authorization',
  'transfer-encoding',
  'x_y',
  'X-Upper',
  '*',
  'a b',
  '',
])("'%s' cannot be put on a list", name => {
  expect(() => createHeaderAllowlist([name])).toThrow(RangeError);
});

test('number and size are bounded', () => {
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`x-ratelimit-${index}`, '1']));
  expect(Object.keys(plain(many)).length).toBe(64);
  expect(plain({ 'retry-after': '1', 'x-ratelimit-big': 'x'.repeat(20_000) })).toEqual({
    'retry-after': '1',
  });
});

test('[C33] [S12] whatever comes in, what goes out is clean and on the list', () => {
  const known = fc.constantFrom(
    'content-type',
    'Content-Type',
    'x-ratelimit-a',
    'openai-\r\nx',
    'connection',
    'set-cookie',
  );
  const value = fc.oneof(fc.string({ unit: 'binary' }), fc.array(fc.string({ unit: 'binary' })));
  fc.assert(
    fc.property(fc.dictionary(fc.oneof(known, fc.string()), value), fields => {
      const result = rebuildHeaders(fields, allowed);
      for (const [name, text] of Object.entries(result)) {
        expect(name).toMatch(/^(?:content-type|request-id|retry-after|x-ratelimit-[^_\s]*|openai-[^_\s]*)$/);
        expect(text).not.toMatch(/[\r\n\0]/);
        expect(() => new Headers({ [name]: text })).not.toThrow();
      }
    }),
    { numRuns: 3000 },
  );
});
