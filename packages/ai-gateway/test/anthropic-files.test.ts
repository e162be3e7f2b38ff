import Anthropic, { toFile } from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import { allScopes } from '@strata/shared/identity/scopes.ts';
import type { Plan, RequestFacts } from '@strata/shared/testing/fake-upstream/plan.ts';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningGateway, startGateway } from './harness.ts';

/** Files of two vendors at one path: who asks decides whose they are. */

let upstream: FakeUpstream;
let gateway: RunningGateway;
let made = 0;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: answerTo });
  const own = { api_key: 'sk-provider', allow_private: true };
  gateway = await startGateway({
    section: {
      providers: {
        claude: { ...own, type: 'anthropic', base_url: upstream.url },
        gpt: { ...own, type: 'openai', base_url: `${upstream.url}/openai/v1` },
      },
      models: {
        claude: { targets: [{ provider: 'claude', model: 'claude-sonnet-5' }] },
        gpt: { targets: [{ provider: 'gpt', model: 'gpt-5-mini' }] },
      },
      attempts: { max_rounds: 1 },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

function answerTo({ method, path }: RequestFacts): Plan {
  if (path === '/v1/messages')
    return jsonPlan(
      { type: 'error', error: { type: 'not_found_error', message: 'File not found: file_nowhere' } },
      { status: 404 },
    );
  if (path.startsWith('/openai'))
    return jsonPlan({
      id: `file-${++made}`,
      object: 'file',
      bytes: 1,
      created_at: 1,
      filename: 'o',
      purpose: 'x',
    });
  const [, , , id = `file_${++made}`, action] = path.split('/');
  if (method === 'DELETE') return jsonPlan({ id, type: 'file_deleted' });
  if (action === 'content')
    return [
      { op: 'headers', headers: { 'content-type': 'text/plain' } },
      { op: 'write', bytes: Buffer.from('what it holds') },
    ];
  const facts = { filename: 'a.txt', mime_type: 'text/plain', size_bytes: 1, downloadable: true };
  return jsonPlan({ id, type: 'file', created_at: '2026-11-28T00:00:00Z', ...facts });
}

const claude = (apiKey = gateway.key) => new Anthropic({ baseURL: gateway.url, apiKey, maxRetries: 0 });
const gpt = () => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });

test('[S-1] Anthropic’s client uploads, lists, reads and deletes its own files, and nobody else’s', async () => {
  const { files } = claude().beta;
  const ids: string[] = [];
  for (const text of ['one', 'two', 'three'])
    ids.unshift((await files.upload({ file: await toFile(Buffer.from(text), 'a.txt') })).id);
  const sent = upstream.requests.at(-1);
  expect(sent?.headers['anthropic-beta']).toContain('files-api-2025-04-14');
  expect(sent?.headers['x-api-key']).toBe('sk-provider');
  const other = await gpt().files.create({ file: await toFile(Buffer.from('x'), 'o'), purpose: 'user_data' });
  expect(other.id).toMatch(/^file-/);

  const listed: string[] = [];
  for await (const file of files.list({ limit: 2 })) listed.push(file.id);
  expect(listed).toEqual(ids);
  const ofOpenai: string[] = [];
  for await (const file of gpt().files.list({ limit: 1 })) ofOpenai.push(file.id);
  expect(ofOpenai).toEqual([other.id]);

  const [id = ''] = ids;
  expect(await files.retrieveMetadata(id)).toMatchObject({ id, type: 'file', filename: 'a.txt' });
  expect(await (await files.download(id)).text()).toBe('what it holds');
  const stranger = await gateway.deps.createKey({
    tenant: 'other',
    principal: 'user:eve',
    scopes: allScopes,
  });
  await expect(claude(stranger).beta.files.retrieveMetadata(id)).rejects.toMatchObject({
    status: 404,
    type: 'not_found_error',
  });
  await expect(gpt().files.retrieve(id)).rejects.toMatchObject({ status: 404 });
  await expect(files.retrieveMetadata(other.id)).rejects.toMatchObject({ status: 404 });
  expect(await files.delete(id)).toEqual({ id, type: 'file_deleted' });
  await expect(files.retrieveMetadata(id)).rejects.toMatchObject({ status: 404 });
});

test('Google’s client, whose files are not here, is told so', async () => {
  const genai = new GoogleGenAI({ apiKey: gateway.key, httpOptions: { baseUrl: gateway.url } });
  await expect(genai.files.list()).rejects.toMatchObject({ name: 'ApiError', status: 404 });
  const upload = genai.files.upload({ file: new Blob(['x'], { type: 'text/plain' }) });
  await expect(upload).rejects.toMatchObject({ name: 'ApiError', status: 404, message: /NOT_FOUND/ });
});

test('a file that is not there is the fault of who names it', async () => {
  const source = { type: 'file' as const, file_id: 'file_nowhere' };
  const asked = claude().beta.messages.create({
    model: 'claude',
    max_tokens: 10,
    betas: ['files-api-2025-04-14'],
    messages: [{ role: 'user', content: [{ type: 'document', source }] }],
  });
  await expect(asked).rejects.toMatchObject({ status: 404, message: /File not found/ });
  const other = claude().messages.create({ model: 'claude', max_tokens: 10, messages: [] });
  await expect(other).rejects.toMatchObject({ status: 502, message: /does not have the configured model/ });
});
