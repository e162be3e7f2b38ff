import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ingresses } from './conformance/requests.ts';
import { type RunningGateway, startGateway } from './harness.ts';

/** The settings of coding agents in docs/ai-gateway.md: the calls that the page says they make, at the address they are given. */

interface Recipe {
  readonly name: string;
  readonly settings: string;
  readonly language: string;
  readonly baseUrl: URL;
  readonly calls: readonly { readonly method: string; readonly path: string }[];
}

const page = readFileSync(join(import.meta.dirname, '../../../docs/ai-gateway.md'), 'utf8');
const recipes = page
  .slice(page.indexOf('## Coding agents'))
  .split(/^### /m)
  .slice(1)
  .map((section): Recipe => {
    const [, language = '', settings = ''] = /```(\w+)\n([\s\S]*?)^```$/m.exec(section) ?? [];
    const address = /http:\/\/127\.0\.0\.1:4100[^\s"]*/.exec(settings)?.[0] ?? '';
    return {
      name: section.slice(0, section.indexOf('\n')),
      settings,
      language,
      baseUrl: new URL(address),
      calls: [...section.matchAll(/`(GET|POST) (\/[^`]+)`/g)].map(([, method = '', path = '']) => ({
        method,
        path,
      })),
    };
  });

let simulator: Simulator;
let gateway: RunningGateway;

beforeAll(async () => {
  simulator = await startSimulator({ keys: ['sk-provider'] });
  gateway = await startGateway({
    section: {
      providers: {
        anthropic: {
          type: 'anthropic',
          base_url: `${simulator.url}/anthropic`,
          api_key: 'sk-provider',
          allow_private: true,
        },
      },
      models: { 'my-model': { targets: [{ provider: 'anthropic', model: 'sim-model' }] } },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await simulator.close();
});

/** A request of the protocol whose path it is. */
function bodyFor(path: string): object {
  const ingress = ingresses.find(each => path.startsWith(each.path('my-model').replace(/(:.*|\?.*)$/, '')));
  const body = { ...ingress?.body('my-model', 'Hello.') };
  const isCount = /count_?tokens$/i.test(path);
  return isCount ? Object.fromEntries(Object.entries(body).filter(([name]) => counted.has(name))) : body;
}

const counted = new Set(['model', 'messages', 'tools', 'contents']);

test('the page has its agents', () => {
  expect(recipes.length).toBeGreaterThanOrEqual(8);
});

test.each(recipes)('$name', async ({ settings, language, baseUrl, calls }) => {
  if (language === 'json') expect(JSON.parse(settings)).toHaveProperty('model', 'strata/my-model');
  expect(settings).toContain('my-model');
  expect(calls.length).toBeGreaterThan(0);
  for (const { method, path } of calls) {
    expect(path.startsWith(baseUrl.pathname)).toBe(true);
    const key = path.includes('/models/')
      ? { 'x-goog-api-key': gateway.key }
      : { authorization: `Bearer ${gateway.key}` };
    const answer = await fetch(`${gateway.url}${path}`, {
      method,
      headers: { ...key, 'content-type': 'application/json' },
      ...(method === 'POST' && { body: JSON.stringify(bodyFor(path)) }),
    });
    expect(answer.status, `${path}: ${await answer.clone().text()}`).toBe(200);
    await answer.text();
  }
});
