import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { expect, test } from 'vitest';
import { fromServerJson } from './server-json.ts';

const document = {
  $schema: 'https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json',
  name: 'io.github.someone/weather_server',
  version: '1.2.3',
  packages: [{ registryType: 'npm', identifier: 'weather', transport: { type: 'stdio' } }],
  remotes: [
    { type: 'something-new', url: 'https://x' },
    {
      type: 'streamable-http',
      url: 'https://{region}.weather.example/mcp',
      headers: [
        { name: 'X-API-Key', isRequired: true, isSecret: true },
        { name: 'X-Plan', value: 'plan {plan}' },
        { name: 'X-Optional' },
      ],
    },
  ],
};

test('the first remote that is spoken here becomes a definition, with the values that were left open', () => {
  expect(fromServerJson(document, { region: 'eu', plan: 'free', 'X-API-Key': 'k' })).toEqual({
    name: 'weather-server',
    config: {
      type: 'streamable-http',
      url: 'https://eu.weather.example/mcp',
      headers: { 'x-api-key': 'k', 'x-plan': 'plan free' },
    },
  });
});

test.each([
  ['nothing', undefined, {}],
  ['no remote', { ...document, remotes: [] }, {}],
  ['a variable without a value', document, { 'X-API-Key': 'k', plan: 'free' }],
  ['a header without a value', document, { region: 'eu', plan: 'free' }],
])('refused, with what to do: %s', (_name, given, values) => {
  expect(() => fromServerJson(given, values)).toThrow(GatewayError);
});

test('variables have defaults and choices of their own, in the address and in headers', () => {
  const remote = {
    type: 'streamable-http',
    url: 'https://{region}.example/{tenant}/mcp',
    variables: { region: { default: 'eu', choices: ['eu', 'us'] }, tenant: { isRequired: true } },
    headers: [
      { name: 'Authorization', value: 'Bearer {token}', variables: { token: { isSecret: true } } },
      { name: 'X-Mode', value: '{mode}', variables: { mode: { default: 'fast' } } },
    ],
  };
  const read = (values: Record<string, string>) =>
    fromServerJson({ name: 'x/y', remotes: [remote] }, values).config;
  expect(read({ tenant: 't', token: 'secret' })).toEqual({
    type: 'streamable-http',
    url: 'https://eu.example/t/mcp',
    headers: { authorization: 'Bearer secret', 'x-mode': 'fast' },
  });
  expect(read({ tenant: 't', token: 's', region: 'us' }).url).toBe('https://us.example/t/mcp');
  expect(() => read({ tenant: 't', token: 's', region: 'mars' })).toThrow('one of: eu, us');
  expect(() => read({ token: 's' })).toThrow("needs a value for '{tenant}'");
});

test('documents of earlier schemas are read, and one with packages alone is refused with what to do', () => {
  const headers = [{ name: 'X-Key', is_required: true }];
  const old = { name: 'x/y', remotes: [{ transport_type: 'sse', url: 'https://old.example/sse', headers }] };
  expect(fromServerJson(old, { 'X-Key': 'k' }).config).toEqual({
    type: 'sse',
    url: 'https://old.example/sse',
    headers: { 'x-key': 'k' },
  });
  expect(() => fromServerJson(old, {})).toThrow("header 'X-Key'");
  expect(() => fromServerJson({ ...document, remotes: [] }, {})).toThrow(/npm weather.*type: stdio/s);
});
