import Anthropic from '@anthropic-ai/sdk';
import type { Clock } from '@strata/shared/clock.ts';
import type { Plan, RequestFacts } from '@strata/shared/testing/fake-upstream/plan.ts';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import OpenAI, { AzureOpenAI, toFile } from 'openai';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { post, type RunningGateway, startGateway } from './harness.ts';

/** What lies at the providers. Batches end when the test says so. */
const files = new Map<string, { purpose: string; content: string }>();
let filesMade = 0;
const batches = new Map<string, Record<string, unknown>>();
const messageBatches = new Map<string, Record<string, unknown>>();
let results = '';
let refusesBatches = false;
let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: request => answerTo(request) });
});
afterEach(() => gateway.close());
afterAll(() => upstream.close());

const lines = (...rows: object[]) => rows.map(row => `${JSON.stringify(row)}\n`).join('');
const notFound = jsonPlan({ error: { message: 'No such object', code: 'not_found' } }, { status: 404 });

function answerTo(request: RequestFacts): Plan {
  const [path = ''] = request.path.split('?', 1);
  const [, , kind, id, action] = path.split('/');
  if (path.startsWith('/v1/messages/batches')) return answerAboutMessages(request, path.split('/').slice(4));
  if (kind === 'files') return answerAboutFiles(request, id, action);
  if (kind === 'batches') return answerAboutBatches(request, id, action);
  return jsonPlan({ id: 'x', choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } });
}

function answerAboutFiles(request: RequestFacts, id = '', action = ''): Plan {
  if (request.method === 'POST') {
    const text = request.body().toString('utf8');
    const purpose = /name="purpose"\r\n\r\n([^\r]*)/.exec(text)?.[1] ?? '';
    const content = /filename="[^"]*"[\s\S]*?\r\n\r\n([\s\S]*?)\r\n--/.exec(text)?.[1] ?? '';
    const made = `file-${++filesMade}`;
    files.set(made, { purpose, content });
    return jsonPlan(fileObject(made));
  }
  if (!files.has(id)) return notFound;
  if (request.method === 'DELETE') {
    files.delete(id);
    return jsonPlan({ id, object: 'file', deleted: true });
  }
  if (action !== 'content') return jsonPlan(fileObject(id));
  return [
    { op: 'headers', headers: { 'content-type': 'application/octet-stream' } },
    { op: 'write', bytes: Buffer.from(files.get(id)?.content ?? '') },
  ];
}

function fileObject(id: string): object {
  const { purpose = '', content = '' } = files.get(id) ?? {};
  return {
    id,
    object: 'file',
    bytes: content.length,
    created_at: 1,
    filename: 'f.jsonl',
    purpose,
    status: 'processed',
  };
}

function answerAboutBatches(request: RequestFacts, id = '', action = ''): Plan {
  if (refusesBatches) return jsonPlan({ error: { message: 'Bad endpoint' } }, { status: 400 });
  if (request.method === 'POST' && id === '') {
    const made = `batch_${batches.size + 1}`;
    batches.set(made, { id: made, object: 'batch', status: 'in_progress', ...(request.json() as object) });
    return jsonPlan(batches.get(made));
  }
  const batch = batches.get(id);
  if (batch === undefined) return notFound;
  if (action === 'cancel') batch.status = 'cancelled';
  return jsonPlan(batch);
}

function answerAboutMessages(request: RequestFacts, [id = '', action = '']: string[]): Plan {
  if (request.method === 'POST' && id === '') {
    const made = `msgbatch_${messageBatches.size + 1}`;
    messageBatches.set(made, {
      id: made,
      type: 'message_batch',
      processing_status: 'in_progress',
      results_url: null,
    });
    return jsonPlan(messageBatches.get(made));
  }
  const batch = messageBatches.get(id);
  if (batch === undefined) return notFound;
  if (action === 'results') {
    return [
      { op: 'headers', headers: { 'content-type': 'application/x-jsonl' } },
      { op: 'write', bytes: Buffer.from(results) },
    ];
  }
  if (action === 'cancel') batch.processing_status = 'canceling';
  if (request.method === 'DELETE') {
    messageBatches.delete(id);
    return jsonPlan({ id, type: 'message_batch_deleted' });
  }
  return jsonPlan(batch);
}

const prices = { input: '2', output: '8', service_tiers: { batch: { multiplier: '0.5' } } };

async function start(budgets: object[] = [], clock?: Clock): Promise<void> {
  const at = { api_key: 'sk-provider', allow_private: true };
  gateway = await startGateway({
    keepsRecords: false,
    ...(clock && { clock }),
    shared: { budgets },
    section: {
      providers: {
        main: { ...at, type: 'openai-compatible', base_url: `${upstream.url}/v1` },
        claude: { ...at, type: 'anthropic', base_url: upstream.url },
      },
      models: {
        small: { targets: [{ provider: 'main', model: 'gpt-small', prices }] },
        other: { targets: [{ provider: 'main', model: 'gpt-other', prices }] },
        opus: { targets: [{ provider: 'claude', model: 'claude-opus', prices }] },
        haiku: { targets: [{ provider: 'claude', model: 'claude-haiku', prices }] },
      },
      attempts: { max_rounds: 1 },
    },
  });
}

const openai = (apiKey = gateway.key) => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 });
const anthropic = (apiKey = gateway.key) => new Anthropic({ baseURL: gateway.url, apiKey, maxRetries: 0 });
const strangers = () => gateway.deps.createKey({ tenant: 'acme', principal: 'user:eve' });

const ask = (custom_id: string, model = 'small') => ({
  custom_id,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model, max_tokens: 100, messages: [{ role: 'user', content: 'Grüße' }] },
});

async function uploadBatch(...rows: object[]): Promise<string> {
  const file = await toFile(Buffer.from(lines(...rows)), 'batch.jsonl');
  return (await openai().files.create({ file, purpose: 'batch' })).id;
}

const answered = (input: number, output: number) => ({
  custom_id: 'a',
  response: {
    status_code: 200,
    body: { model: 'gpt-small-2026-01-01', usage: { prompt_tokens: input, completion_tokens: output } },
  },
  error: null,
});

function endBatch(id: string, ...rows: object[]): string {
  const output = `file-${++filesMade}`;
  files.set(output, { purpose: 'batch_output', content: lines(...rows) });
  Object.assign(batches.get(id) ?? {}, { status: 'completed', output_file_id: output });
  return output;
}

async function entries() {
  await gateway.deps.ledger.flush();
  return gateway.deps.sql.db.selectFrom('usage_ledger').selectAll().orderBy('id').execute();
}
const totals = async () => {
  await gateway.deps.ledger.flush();
  return gateway.deps.budgets.store.totals('config:all');
};
const budgetOf = (limit_usd: string) => [
  { name: 'all', tenant: 'acme', window: 'total', subject: 'principal:user:ada', limit_usd },
];

test('a batch by the official SDK: uploaded under the alias, booked once at the price of batches when it is read', async () => {
  await start(budgetOf('1'));
  const input = await uploadBatch(ask('a'), ask('b'));
  const sent = files.get(input)?.content ?? '';
  expect(sent).toBe(lines(ask('a', 'gpt-small'), ask('b', 'gpt-small')));
  const batch = await openai().batches.create({
    input_file_id: input,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  const held = await totals();
  expect(held?.openNanoUsd).toBeGreaterThan(0n);
  expect((await openai().batches.retrieve(batch.id)).status).toBe('in_progress');

  const output = endBatch(batch.id, answered(1000, 10), answered(500, 20));
  const ended = await openai().batches.retrieve(batch.id);
  expect(ended).toMatchObject({ status: 'completed', output_file_id: output });
  for (let reads = 0; reads < 3; reads++) {
    expect(await (await openai().files.content(output)).text()).toBe(files.get(output)?.content);
  }
  expect(await entries()).toMatchObject([
    {
      alias: 'small',
      model: 'gpt-small',
      service_tier: 'batch',
      input: 1500,
      output: 30,
      cost_nano_usd: 1500 * 1000 + 30 * 4000,
      principal: 'user:ada',
    },
  ]);
  expect(await totals()).toMatchObject({ spentNanoUsd: 1_620_000n });
});

test.each([
  ['of a deployment', { deployment: 'small' }, undefined],
  ['of none', {}, undefined],
  ['whose address is a deployment', {}, '/openai/deployments/small'],
])('a batch by the client of Azure %s', async (_what, more, below) => {
  await start();
  const address = below === undefined ? { endpoint: gateway.url } : { baseURL: `${gateway.url}${below}` };
  const options = { apiKey: gateway.key, apiVersion: '2026-06-01', maxRetries: 0 };
  const sdk = new AzureOpenAI({ ...options, ...more, ...address });
  const file = await toFile(Buffer.from(`${lines(ask('a'))}\n \r\n`), 'batch.jsonl');
  const input = await sdk.files.create({ file, purpose: 'batch' });
  expect(files.get(input.id)?.content).toContain('"gpt-small"');
  const { id } = await sdk.batches.create({
    input_file_id: input.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  const output = endBatch(id, answered(1000, 10));
  expect(await sdk.batches.retrieve(id)).toMatchObject({ status: 'completed', output_file_id: output });
  expect(await (await sdk.files.content(output)).text()).toBe(files.get(output)?.content);
  expect((await sdk.batches.list()).data.map(each => each.id)).toContain(id);
  expect((await sdk.files.list()).data.map(each => each.id)).toEqual([output, input.id]);
  expect(await sdk.files.delete(input.id)).toMatchObject({ deleted: true });
});

test('files: listed, read and deleted by whoever uploaded them', async () => {
  await start();
  const sdk = openai();
  const one = await sdk.files.create({
    file: await toFile(Buffer.from('one'), 'f.txt'),
    purpose: 'user_data',
  });
  const two = await sdk.files.create({
    file: await toFile(Buffer.from('two'), 'f.txt'),
    purpose: 'assistants',
  });
  expect((await sdk.files.list()).data.map(file => file.id)).toEqual([two.id, one.id]);
  expect((await sdk.files.list({ purpose: 'user_data' })).data).toHaveLength(1);
  const paged = [];
  for await (const file of sdk.files.list({ limit: 1, order: 'asc' })) paged.push(file.id);
  expect(paged).toEqual([one.id, two.id]);
  expect(await sdk.files.retrieve(one.id)).toMatchObject({ purpose: 'user_data' });
  expect(await (await sdk.files.content(two.id)).text()).toBe('two');
  expect(await sdk.files.delete(one.id)).toMatchObject({ deleted: true });
  await expect(sdk.files.retrieve(one.id)).rejects.toMatchObject({ status: 404 });
});

test("[S-1] nobody finds another's file or batch: the same answer as for one that does not exist", async () => {
  await start();
  const input = await uploadBatch(ask('a'));
  const batch = await openai().batches.create({
    input_file_id: input,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  const mine = await anthropic().messages.batches.create({ requests: [request('a', 'opus')] });
  const eve = openai(await strangers());
  const eveOfAnthropic = anthropic(await strangers());
  const before = upstream.requests.length;
  const refusals = [
    (id: string) => eve.files.retrieve(id),
    (id: string) => eve.files.content(id),
    (id: string) => eve.files.delete(id),
    (id: string) =>
      eve.batches.create({ input_file_id: id, endpoint: '/v1/chat/completions', completion_window: '24h' }),
    (id: string) =>
      eve.chat.completions.create({
        model: 'small',
        messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: id } }] }],
      }),
  ];
  const of = async (asking: Promise<unknown>) => {
    const error = await asking.then(
      () => undefined,
      (error: unknown) => error as { status: number; error: object },
    );
    return JSON.stringify([error?.status, error?.error]).replaceAll(
      /file-\w+|msgbatch_\w+|batch_\w+|req_\w+/g,
      'ID',
    );
  };
  for (const refused of refusals.slice(0, 4)) {
    expect(await of(refused(input))).toBe(await of(refused('file-none')));
    expect(await of(refused(input))).toContain('404');
  }
  for (const refused of [(id: string) => eve.batches.retrieve(id), (id: string) => eve.batches.cancel(id)]) {
    expect(await of(refused(batch.id))).toBe(await of(refused('batch_none')));
  }
  for (const refused of [
    (id: string) => eveOfAnthropic.messages.batches.retrieve(id),
    (id: string) => eveOfAnthropic.messages.batches.cancel(id),
    (id: string) => eveOfAnthropic.messages.batches.delete(id),
  ]) {
    expect(await of(refused(mine.id))).toBe(await of(refused('msgbatch_none')));
    expect(await of(refused(mine.id))).toContain('404');
  }
  expect((await eve.files.list()).data).toEqual([]);
  expect((await eve.batches.list()).data).toEqual([]);
  expect((await eveOfAnthropic.messages.batches.list()).data).toEqual([]);
  // A prompt may not name it either; one that the gateway never saw is the operator's.
  const [inPrompt] = refusals.slice(4);
  expect(await of(inPrompt?.(input) ?? Promise.resolve())).toContain('404');
  expect(upstream.requests).toHaveLength(before);
  await inPrompt?.('file-of-the-operator');
  expect(upstream.requests).toHaveLength(before + 1);
});

test('what a budget has not left is not begun, and is given back when the provider refuses', async () => {
  await start(budgetOf('0.004'));
  // Each line may cost 100 tokens of output at 8 USD a million, and some of input: more than a third of the budget.
  const dear = await uploadBatch(ask('a'), ask('b'), ask('c'));
  const asked = { endpoint: '/v1/chat/completions', completion_window: '24h' } as const;
  const count = batches.size;
  await expect(openai().batches.create({ ...asked, input_file_id: dear })).rejects.toMatchObject({
    status: 402,
  });
  expect(batches.size).toBe(count);
  expect(await totals()).toMatchObject({ openNanoUsd: 0n });
  const [id] = [await uploadBatch(ask('a'))];
  refusesBatches = true;
  await expect(openai().batches.create({ ...asked, input_file_id: id })).rejects.toMatchObject({
    status: 400,
  });
  refusesBatches = false;
  expect(await totals()).toMatchObject({ openNanoUsd: 0n, spentNanoUsd: 0n });
});

test.each<[unknown]>([[undefined], [null], [7], [{}], [[]]])('an input_file_id of %j is no id', async id => {
  await start();
  const asked = { endpoint: '/v1/chat/completions', completion_window: '24h' } as const;
  const body = { ...asked, input_file_id: id as unknown as string };
  await expect(openai().batches.create(body)).rejects.toMatchObject({ status: 400, param: 'input_file_id' });
});

test('[$-1] a batch of embeddings sets no output aside, and is begun for nothing else', async () => {
  await start(budgetOf('0.1')); // at 8 USD a million, the longest answer alone would cost more
  const embed = (url = '/v1/embeddings') => ({
    ...{ custom_id: 'a', method: 'POST', url },
    body: { model: 'small', input: 'Grüße' },
  });
  const input_file_id = await uploadBatch(embed(), embed());
  const asked = { completion_window: '24h', input_file_id } as const;
  const count = batches.size;
  const other = openai().batches.create({ ...asked, endpoint: '/v1/chat/completions' });
  await expect(other).rejects.toMatchObject({ status: 400, code: 'batch_input_invalid' });
  await expect(uploadBatch(embed(), embed('/v1/chat/completions'))).rejects.toMatchObject({ status: 400 });
  expect(batches.size).toBe(count);
  const batch = await openai().batches.create({ ...asked, endpoint: '/v1/embeddings' });
  expect(batch.status).toBe('in_progress');
});

test('a batch whose owner never comes back is looked after, and booked', async () => {
  const clock = createManualClock();
  await start(budgetOf('1'), clock);
  const input = await uploadBatch(ask('a'));
  const batch = await openai().batches.create({
    input_file_id: input,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  endBatch(batch.id, answered(1000, 10));
  await clock.advance(60_000);
  await expect
    .poll(async () => (await entries()).map(entry => entry.cost_nano_usd), { timeout: 20_000 })
    .toEqual([1000 * 1000 + 10 * 4000]);
  // What the batch did not need is free again, once this process has given back what it holds.
  const open = async () => {
    await clock.advance(6000);
    return (await totals())?.openNanoUsd;
  };
  await expect.poll(open, { timeout: 20_000 }).toBe(0n);
  const drained = gateway.drain(); // at its deadline, which this clock tells
  await clock.advance(5000);
  await drained;
});

test('what cannot be a batch is refused with the place of the mistake', async () => {
  await start();
  const refused = async (...rows: object[]) => {
    const error = await uploadBatch(...rows).catch(
      (error: unknown) => error as { code: string; message: string },
    );
    return typeof error === 'string' ? 'taken' : `${error.code}: ${error.message}`;
  };
  expect(await refused(ask('a'), ask('b', 'other'))).toMatch(/batch_input_invalid.*one model/);
  expect(await refused(ask('a'), { custom_id: 'b' })).toMatch(/batch_input_invalid.*line 2/);
  for (const requests of [
    'x',
    { a: { custom_id: 'a', params: {} } },
    ['x', 5],
    [['x']],
    [{ custom_id: 'a', params: 'x' }],
    7,
  ]) {
    const answer = await post(gateway, '/v1/messages/batches', { requests });
    expect([answer.status, answer.body.toString()]).toEqual([
      400,
      expect.stringContaining('batch_input_invalid'),
    ]);
  }
  await expect(openai().files.list({ limit: -2 })).rejects.toMatchObject({
    status: 400,
    code: 'page_invalid',
  });
  expect(await refused(ask('a', 'nobody'))).toContain('model_not_found');
  expect(await refused(ask('a', 'opus'))).toContain('model_speaks_other_protocol');
  const key = await gateway.newKey({ models: ['other'] });
  const file = await toFile(Buffer.from(lines(ask('a'))), 'batch.jsonl');
  await expect(openai(key).files.create({ file, purpose: 'batch' })).rejects.toMatchObject({ status: 404 });
});

function request(custom_id: string, model: string) {
  return {
    custom_id,
    params: { model, max_tokens: 10, messages: [{ role: 'user' as const, content: 'Hi' }] },
  };
}

const succeeded = (custom_id: string, model: string, usage: object) => ({
  custom_id,
  result: { type: 'succeeded', message: { id: 'msg', type: 'message', model, content: [], usage } },
});

test("Anthropic's message batches: models by alias, results by the gateway, each model booked once", async () => {
  await start(budgetOf('1'));
  const sdk = anthropic();
  const batch = await sdk.messages.batches.create({
    requests: [request('a', 'opus'), request('b', 'haiku'), request('c', 'haiku')],
  });
  const sent = upstream.requests.at(-1)?.json() as { requests: { params: { model: string } }[] };
  expect(sent.requests.map(each => each.params.model)).toEqual([
    'claude-opus',
    'claude-haiku',
    'claude-haiku',
  ]);
  results = lines(
    succeeded('a', 'claude-opus-20260101', { input_tokens: 100, output_tokens: 10 }),
    succeeded('b', 'claude-haiku', { input_tokens: 10, output_tokens: 1 }),
    { custom_id: 'c', result: { type: 'errored', error: { type: 'error', error: { type: 'api_error' } } } },
  );
  Object.assign(messageBatches.get(batch.id) ?? {}, {
    processing_status: 'ended',
    results_url: `https://api.anthropic.com/v1/messages/batches/${batch.id}/results`,
  });
  for (let reads = 0; reads < 2; reads++) {
    const read = [];
    for await (const result of await sdk.messages.batches.results(batch.id)) read.push(result.custom_id);
    expect(read).toEqual(['a', 'b', 'c']);
  }
  expect(await entries()).toMatchObject([
    { alias: 'haiku', model: 'claude-haiku', input: 10, output: 1, cost_nano_usd: 10 * 1000 + 4000 },
    { alias: 'opus', model: 'claude-opus', input: 100, output: 10, cost_nano_usd: 100 * 1000 + 40_000 },
  ]);
  expect(await totals()).toMatchObject({ spentNanoUsd: 154_000n });
  expect((await sdk.messages.batches.list()).data.map(each => each.id)).toEqual([batch.id]);
  expect(await sdk.messages.batches.delete(batch.id)).toMatchObject({ type: 'message_batch_deleted' });
});

test('a body that is no batch is refused in the words of the protocol', async () => {
  await start();
  const answer = await post(gateway, '/v1/messages/batches', { requests: [] });
  expect(answer.status).toBe(400);
  expect(JSON.parse(answer.body.toString())).toMatchObject({
    type: 'error',
    error: { type: 'invalid_request_error' },
  });
});
