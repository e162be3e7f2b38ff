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
