import { expect, test } from 'vitest';
import {
  type ClientHello,
  clientCapabilitiesFor,
  joinInstructions,
  type ServerHello,
  serverCapabilitiesFor,
  unionCapabilities,
} from './capabilities.ts';

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

const tasksExtension = 'io.modelcontextprotocol/tasks';
const client = (protocolVersion: string, capabilities: object): ClientHello => ({
  protocolVersion,
  capabilities: { ...capabilities },
  clientInfo: {},
});
const server = (protocolVersion: string, capabilities: object): ServerHello => ({
  protocolVersion,
  capabilities: { ...capabilities },
  serverInfo: {},
  instructions: undefined,
});

test('[capabilities] a server is told all a client has', () => {
  const declared = { sampling: { tools: {} }, elicitation: { form: {}, url: {} }, extensions: { x: {} } };
  for (const era of ['legacy', 'modern'] as const) {
    expect(clientCapabilitiesFor(client('2025-11-25', declared), era)).toEqual(declared);
    expect(clientCapabilitiesFor(client('2026-07-28', {}), era)).toEqual({});
  }
});

test('[tasks] are claimed where both ends speak the same ones, and nowhere else', () => {
  const session = server('2025-11-25', {
    tools: {},
    tasks: { list: {} },
    extensions: { [tasksExtension]: {} },
  });
  expect(serverCapabilitiesFor(session, 'legacy', false)).toEqual({
    tools: {},
    tasks: { list: {} },
    extensions: {},
  });
  expect(serverCapabilitiesFor(session, 'legacy', true)).toEqual({ tools: {}, extensions: {} });
  expect(serverCapabilitiesFor(session, 'modern', false)).toEqual({ tools: {}, extensions: {} });
  const modern = server('2026-07-28', { extensions: { [tasksExtension]: {}, x: {} } });
  expect(serverCapabilitiesFor(modern, 'modern', true)).toEqual({
    extensions: { [tasksExtension]: {}, x: {} },
  });
  expect(serverCapabilitiesFor(modern, 'legacy', false)).toEqual({ extensions: { x: {} } });
  const asking = { tasks: { requests: {} }, extensions: { [tasksExtension]: {}, x: {} } };
  const told = { extensions: { x: {} } };
  expect(clientCapabilitiesFor(client('2026-07-28', asking), 'modern')).toEqual({
    extensions: asking.extensions,
  });
  expect(clientCapabilitiesFor(client('2026-07-28', asking), 'legacy')).toEqual(told);
  expect(clientCapabilitiesFor(client('2025-11-25', asking), 'modern')).toEqual(told);
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
