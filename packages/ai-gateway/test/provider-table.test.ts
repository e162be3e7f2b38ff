import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { aiGatewaySection } from '../src/config.ts';
import type { ModelProvider } from '../src/domain/provider.ts';
import { createProvider, providerTypes } from '../src/providers/registry.ts';

/** The examples and the table of providers in docs/ai-gateway.md: every type is there, every example is one, every row is true. */

const file = join(import.meta.dirname, '../../../docs/ai-gateway.md');
const page = readFileSync(file, 'utf8');
const [, example = ''] = /^```yaml\n(providers:\n[\s\S]*?)^```$/m.exec(page) ?? [];
const { providers } = aiGatewaySection.parse(parse(example));

const notNow = () => Promise.reject(new Error('not dialled here'));
const deps = { clock: systemClock, dialer: { request: notNow, connect: notNow, close: async () => {} } };

function rowOf(name: string): string {
  const config = providers[name];
  if (config === undefined) throw new Error(name);
  const provider = createProvider(config, { ...deps, name });
  const others = [...provider.speaks.keys()].filter(each => !chatProtocols.has(each));
  const chat = [...provider.speaks.keys()].filter(each => chatProtocols.has(each));
  const cells = [
    `\`${config.type}\``,
    chat.join(', '),
    [...new Set(others.map(shortName))].join(', '),
    addressOf(provider),
    differences(provider),
  ];
  return `| ${cells.join(' | ')} |`;
}

const chatProtocols = new Set([
  ...['openai-chat', 'openai-responses', 'anthropic-messages', 'gemini', 'bedrock-converse', 'cohere-chat'],
  ...['anthropic-vertex', 'anthropic-bedrock'],
]);

function shortName(protocol: string): string {
  return protocol.replace(/^(openai|cohere|anthropic|gemini|bedrock)-/, '');
}

function addressOf({ origin }: ModelProvider): string {
  return `\`${origin.url.href.replace(/\/$/, '')}\``;
}

function differences({ speaks }: ModelProvider): string {
  const access = speaks.get('openai-chat');
  const { renames = {}, refuses = [], toolCallIdLength } = access?.quirks ?? {};
  const said = [
    ...Object.entries(renames).map(([from, to]) => `\`${from}\` is \`${to}\``),
    ...(refuses.length > 0 ? [`no ${refuses.map(each => `\`${each}\``).join(', ')}`] : []),
    ...(toolCallIdLength === undefined ? [] : [`call ids of ${toolCallIdLength} characters`]),
    ...(access?.lacks ?? []).map(each => `no ${each.replace('-', ' ')}`),
    ...(access !== undefined && !access.mayAskStreamUsage ? ['usage of streams is not asked for'] : []),
  ];
  return said.join('; ');
}

const begin = '<!-- providers -->';
const end = '<!-- /providers -->';

test('every type of provider has an example, and no example is of another type', () => {
  expect(
    Object.values(providers)
      .map(each => each.type)
      .sort(),
  ).toEqual([...providerTypes].sort());
});

test('the table says what the providers are; UPDATE_PROVIDERS=1 writes it', () => {
  const head = ['| type | speaks | also | address | differs in |', '| --- | --- | --- | --- | --- |'];
  const table = [...head, ...Object.keys(providers).map(rowOf)].join('\n');
  const [before = '', rest = ''] = page.split(begin, 2);
  const [written = '', after = ''] = rest.split(end, 2);
  if (process.env.UPDATE_PROVIDERS === '1') {
    writeFileSync(file, `${before}${begin}\n\n${table}\n\n${end}${after}`);
    return;
  }
  expect(written.trim()).toBe(table);
});
