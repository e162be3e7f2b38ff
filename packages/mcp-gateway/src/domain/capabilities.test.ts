import { expect, test } from 'vitest';
import { clientCapabilitiesFor, joinInstructions, unionCapabilities } from './capabilities.ts';

test('[capabilities] the union has what any server has, its extensions too, and nothing that none has', () => {
  const union = unionCapabilities([
    { tools: { listChanged: true }, extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['a'] } } },
    { tools: {}, resources: { subscribe: true }, extensions: { 'com.example/x': {} } },
    {},
  ]);
  expect(union).toEqual({
    tools: { listChanged: true },
    resources: { subscribe: true },
    extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['a'] }, 'com.example/x': {} },
  });
  expect(unionCapabilities([])).toEqual({});
  expect(unionCapabilities([{ tools: 'yes', prompts: null }])).toEqual({});
});

test('[capabilities] a server is told all a client has', () => {
  const declared = { sampling: { tools: {} }, elicitation: { form: {}, url: {} }, extensions: { x: {} } };
  expect(clientCapabilitiesFor(declared)).toEqual(declared);
  expect(clientCapabilitiesFor({})).toEqual({});
});

test('[capabilities] instructions come under the name of their server, within a limit', () => {
  const parts = [
    { server: 'a', instructions: 'Do this.' },
    { server: 'b', instructions: undefined },
    { server: 'c', instructions: 'x'.repeat(100_000) },
  ];
  const joined = joinInstructions(parts) ?? '';
  expect(joined).toMatch(/^# a\n\nDo this\.\n\n# c\n\nx/);
  expect(joined).toHaveLength(16 * 1024);
  expect(joinInstructions([{ server: 'b', instructions: '' }])).toBeUndefined();
});
