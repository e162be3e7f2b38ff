import Anthropic, { toFile } from '@anthropic-ai/sdk';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type RunningGateway, startGateway } from './harness.ts';

/** To which provider a file goes that is for no model. */

let upstream: FakeUpstream;
let gateway: RunningGateway | undefined;
beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: jsonPlan({ id: 'file-1', object: 'file', purpose: 'x' }) });
});
afterEach(() => gateway?.close());
afterAll(() => upstream.close());

async function uploads(types: Readonly<Record<string, string>>, filesProvider: string, scopes: object = {}) {
  const own = { api_key: 'sk-provider', allow_private: true };
  const providers = Object.fromEntries(
    Object.entries(types).map(([name, type]) => [
      name,
      { ...own, type, base_url: `${upstream.url}/${name}` },
    ]),
  );
  gateway = await startGateway({ section: { providers, files_provider: filesProvider } });
  const options = { apiKey: await gateway.newKey(scopes), maxRetries: 0 };
  const openai = new OpenAI({ ...options, baseURL: `${gateway.url}/v1` });
  const claude = new Anthropic({ ...options, baseURL: gateway.url });
  const file = await toFile(Buffer.from('x'), 'a.txt');
  return {
    openai: () => openai.files.create({ file, purpose: 'user_data' }),
    anthropic: () => claude.beta.files.upload({ file }),
  };
}

const pathOfLast = () => upstream.requests.at(-1)?.path;

test('the named one, where it has files of the client’s API, else the only one that has', async () => {
  const types = { one: 'openai', two: 'openai', claude: 'anthropic' };
  const { openai, anthropic } = await uploads(types, 'two');
  await openai();
  expect(pathOfLast()).toMatch(/^\/two\//);
  await anthropic();
  expect(pathOfLast()).toMatch(/^\/claude\//);
});

test('a named one of another API says nothing between two', async () => {
  const { openai } = await uploads({ one: 'openai', two: 'openai', claude: 'anthropic' }, 'claude');
  await expect(openai()).rejects.toMatchObject({ status: 400, code: 'files_provider_unknown' });
});

test('a named one that has no files at all is not passed over', async () => {
  const before = upstream.requests.length;
  const { openai, anthropic } = await uploads(
    { one: 'openai', cohere: 'cohere', claude: 'anthropic' },
    'cohere',
  );
  for (const upload of [openai, anthropic]) {
    await expect(upload()).rejects.toMatchObject({ status: 400, message: /`files_provider` names 'cohere'/ });
  }
  expect(upstream.requests).toHaveLength(before);
});

test('[S-2] a key that may not reach the named one hears nothing of it', async () => {
  const types = { one: 'openai', cohere: 'cohere', claude: 'anthropic' };
  const { openai, anthropic } = await uploads(types, 'cohere', { models: ['providers/one'] });
  for (const upload of [openai, anthropic]) {
    await expect(upload()).rejects.toMatchObject({
      status: 400,
      message: expect.not.stringContaining('cohere'),
    });
  }
});
