import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ModelProvider } from './provider.ts';
import { findRoute, orderTargets, type Route, targetsReached, visibleRoutes } from './route.ts';

const provider: ModelProvider = {
  name: 'main',
  system: 'openai',
  vendor: undefined,
  origin: { name: 'main', url: new URL('http://127.0.0.1'), allowPrivate: true },
  speaks: new Map([['openai-chat', { path: () => '/chat/completions', mayAskStreamUsage: true }]]),
  headers: {},
  credentials: [{ id: '', authorize: () => ({}) }],
};

function table(...aliases: string[]): Map<string, Route> {
  return new Map(
    aliases.map(alias => [
      alias,
      {
        alias,
        targets: [{ id: `main/${alias}`, provider, model: alias, prices: undefined, weight: undefined }],
      },
    ]),
  );
}

test('an unknown model is answered with the nearest names that the caller may use', () => {
  const routes = table('gpt-5-mini', 'gpt-5-nano', 'secret-gpt-5-min', 'claude-opus');
  const refusal = expect.objectContaining({
    kind: 'not_found',
    reason: 'model_not_found',
    details: { nearest: ['gpt-5-mini', 'gpt-5-nano'] },
  });
  expect(() => findRoute(routes, 'gpt-5-min', ['gpt-*', 'claude-*'])).toThrow(refusal);
});

test('[S-2] a model that the caller may not use is answered like one that does not exist', () => {
  const routes = table('public', 'private');
  const read = (alias: string) => {
    try {
      findRoute(routes, alias, ['public']);
      return undefined;
    } catch (error) {
      return String(error).replace(alias, '');
    }
  };
  expect(read('private')).toBe(read('PRIVATE'));
  expect(visibleRoutes(routes, ['public']).map(route => route.alias)).toEqual(['public']);
  expect(visibleRoutes(routes, [])).toEqual([]);
});

test('[A13] property: no spelling of a name reaches a route but its own', () => {
  const routes = table('gpt-5', 'internal');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.constantFrom(
          'GPT-5',
          'gpt-5 ',
          'gpt-5\0',
          'gpt‐5',
          'ｇpt-5',
          '__proto__',
          'constructor',
          'internal',
        ),
      ),
      name => {
        if (name === 'gpt-5') return;
        expect(() => findRoute(routes, name, ['gpt-5'])).toThrow(
          expect.objectContaining({ kind: 'not_found' }),
        );
      },
    ),
  );
});

const speaks = (protocol: string) => (provider: ModelProvider) => provider.speaks.has(protocol);

test('a model is called in a protocol that one of its providers speaks, or the error says which', () => {
  const [route] = table('gpt-5').values();
  if (!route) throw new Error('no route');
  expect(targetsReached(route, 'openai-chat', speaks('openai-chat'))).toHaveLength(1);
  expect(() => targetsReached(route, 'anthropic-messages', speaks('anthropic-messages'))).toThrow(
    /openai-chat/,
  );
});

test('targets with a weight that stand together are drawn by it; others keep their place', () => {
  const target = (id: string, weight?: number) => ({ id, provider, model: id, prices: undefined, weight });
  const targets = [target('first'), target('a', 3), target('b', 1), target('c', 0), target('last')];
  const random = seededRandom(7);
  const seconds: string[] = [];
  for (let index = 0; index < 4000; index++) {
    const ordered = orderTargets(targets, random).map(each => each.id);
    expect([ordered[0], ordered[3], ordered[4]]).toEqual(['first', 'c', 'last']);
    seconds.push(ordered[1] ?? '');
  }
  const share = seconds.filter(id => id === 'a').length / seconds.length;
  expect(share).toBeGreaterThan(0.72);
  expect(share).toBeLessThan(0.78);
});
