import { jsonPlan, ssePlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { post, type RunningGateway, startGateway } from './harness.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;

/** Every byte value, line ends and dashes among them: what a reader of forms could trip over. */
const sound = Buffer.concat([
  Buffer.from(Array.from({ length: 256 }, (_, index) => index)),
  Buffer.from('\r\n--\r\n--x\r\n\r\n'),
]);
const perToken = { input: '2', audio_input: '6', output: '10' };
const perSecond = { audio_seconds: '100' }; // USD 0.006 a minute

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: [] });
  const provider = { type: 'openai-compatible', api_key: 'sk-provider', allow_private: true };
  gateway = await startGateway({
    section: {
      providers: {
        first: { ...provider, base_url: `${upstream.url}/v1` },
        second: { ...provider, base_url: `${upstream.url}/second/v1` },
        claude: { type: 'anthropic', api_key: 'sk', base_url: upstream.url, allow_private: true },
      },
      models: {
        scribe: {
          targets: [
            { provider: 'first', model: 'gpt-4o-transcribe', prices: perToken },
            { provider: 'second', model: 'whisper-1', prices: perSecond },
          ],
        },
        whisper: { targets: [{ provider: 'first', model: 'whisper-1', prices: perSecond }] },
        deaf: { targets: [{ provider: 'claude', model: 'claude' }] },
      },
      attempts: { max_rounds: 1 },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});
beforeEach(() => {
  gateway.records.length = 0;
});

function client(apiKey = gateway.key): OpenAI {
  return new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 });
}

const speech = () => toFile(sound, 'speech.wav', { type: 'audio/wav' });

/** The form as the upstream got it, by another parser than the gateway's. */
async function formSent(): Promise<FormData> {
  const request = upstream.requests.at(-1);
  if (request === undefined) throw new Error('nothing was asked');
  return new Response(new Uint8Array(request.body()), {
    headers: { 'content-type': String(request.headers['content-type']) },
  }).formData();
}

describe('transcriptions by the official SDK', () => {
  test('json: the model is asked under its own name, the sound is byte-equal, tokens of sound are priced', async () => {
    const usage = {
      type: 'tokens',
      input_tokens: 30,
      output_tokens: 5,
      total_tokens: 35,
      input_token_details: { text_tokens: 10, audio_tokens: 20 },
    };
    upstream.use(jsonPlan({ text: 'Hello there.', usage }));
    const answer = await client().audio.transcriptions.create({
      file: await speech(),
      model: 'scribe',
      prompt: 'model',
    });
    expect(answer.text).toBe('Hello there.');
    const form = await formSent();
    expect(form.getAll('model')).toEqual(['gpt-4o-transcribe']);
    expect(form.get('prompt')).toBe('model');
    const file = form.get('file') as File;
    expect(file.name).toBe('speech.wav');
    expect(Buffer.from(await file.arrayBuffer())).toEqual(sound);
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({
      operation: 'transcription',
      usageSource: 'reported',
      usage: { input: 10, audioInput: 20, output: 5 },
      costNanoUsd: 10n * 2000n + 20n * 6000n + 5n * 10_000n,
    });
  });

  test('verbose_json: the length of the sound is what is charged, and what the ledger holds', async () => {
    const duration = 7.4;
    const segments = [{ id: 0, start: 0, end: duration, text: 'Hello.' }];
    upstream.use(jsonPlan({ task: 'transcribe', language: 'english', duration, text: 'Hello.', segments }));
    const answer = await client().audio.transcriptions.create({
      file: await speech(),
      model: 'whisper',
      response_format: 'verbose_json',
      timestamp_granularities: ['segment'],
    });
    expect(answer.segments).toEqual(segments);
    expect((await formSent()).getAll('timestamp_granularities[]')).toEqual(['segment']);
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({ usage: { audioSeconds: 8 }, costNanoUsd: 8n * 100_000n });
  });

  test.each(['text', 'srt', 'vtt'] as const)(
    '%s passes under its own type, and says nothing of its cost',
    async format => {
      const said = '1\n00:00:00,000 --> 00:00:01,000\nHello.\n';
      upstream.use([
        { op: 'headers', headers: { 'content-type': 'text/plain; charset=utf-8' } },
        { op: 'write', bytes: Buffer.from(said) },
      ]);
      const answer = await client().audio.transcriptions.create({
        file: await speech(),
        model: 'whisper',
        response_format: format,
      });
      expect(answer).toBe(said);
      const [record] = await gateway.recorded(1);
      expect(record).toMatchObject({ usageSource: 'missing', costNanoUsd: undefined });
    },
  );

  test('as a stream, with its usage', async () => {
    const usage = { type: 'tokens', input_tokens: 14, output_tokens: 3, total_tokens: 17 };
    upstream.use(
      ssePlan([
        JSON.stringify({ type: 'transcript.text.delta', delta: 'Hel' }),
        JSON.stringify({ type: 'transcript.text.delta', delta: 'lo.' }),
        JSON.stringify({ type: 'transcript.text.done', text: 'Hello.', usage }),
      ]),
    );
    const stream = await client().audio.transcriptions.create({
      file: await speech(),
      model: 'scribe',
      stream: true,
    });
    const events = [];
    for await (const event of stream) events.push(event);
    expect(events.map(event => event.type)).toEqual([
      'transcript.text.delta',
      'transcript.text.delta',
      'transcript.text.done',
    ]);
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({ isStream: true, outcome: 'answered', usage: { input: 14, output: 3 } });
  });

  test('a target that fails is passed by, and the next one is sent the whole form', async () => {
    upstream.use(request =>
      request.path.startsWith('/second')
        ? jsonPlan({ text: 'Hello.', usage: { type: 'duration', seconds: 3 } })
        : jsonPlan({ error: { message: 'overloaded', type: 'server_error' } }, { status: 503 }),
    );
    const answer = await client().audio.transcriptions.create({ file: await speech(), model: 'scribe' });
    expect(answer.text).toBe('Hello.');
    const form = await formSent();
    expect(form.get('model')).toBe('whisper-1');
    expect(Buffer.from(await (form.get('file') as File).arrayBuffer())).toEqual(sound);
    const records = await gateway.recorded(2);
    expect(records.map(record => record.outcome)).toEqual(['failed', 'answered']);
    expect(records[1]?.costNanoUsd).toBe(3n * 100_000n);
  });

  test('translations go to their own path', async () => {
    upstream.use(jsonPlan({ text: 'Hello.', duration: 2 }));
    const answer = await client().audio.translations.create({ file: await speech(), model: 'whisper' });
    expect(answer.text).toBe('Hello.');
    expect(upstream.requests.at(-1)?.path).toBe('/v1/audio/translations');
  });
});

test('edits and variations of images are routed by the model of their form', async () => {
  const image = await toFile(sound, 'cat.png', { type: 'image/png' });
  const usage = { input_tokens: 5, output_tokens: 9, total_tokens: 14 };
  upstream.use(jsonPlan({ created: 1, data: [{ b64_json: 'AA==' }], usage }));
  const edited = await client().images.edit({ image: [image, image], prompt: 'A hat.', model: 'scribe' });
  expect(edited.data).toHaveLength(1);
  expect((await formSent()).getAll('image[]')).toHaveLength(2);
  await client().images.createVariation({ image, model: 'scribe' });
  expect(upstream.requests.at(-1)?.path).toBe('/v1/images/variations');
  expect((await gateway.recorded(2))[0]).toMatchObject({ usage: { input: 5, output: 9 } });
});

describe('what is refused', () => {
  test('a model that the key may not use, and one that speaks another protocol', async () => {
    const key = await gateway.newKey({ models: ['whisper'] });
    const file = await speech();
    await expect(client(key).audio.transcriptions.create({ file, model: 'scribe' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
    await expect(client().audio.transcriptions.create({ file, model: 'deaf' })).rejects.toMatchObject({
      status: 400,
      code: 'model_speaks_other_protocol',
    });
  });

  test('what a hard budget has not left, at the longest that the sound can be', async () => {
    const budgets = [
      { name: 'tiny', tenant: 'acme', subject: 'principal:user:ada', window: 'total', limit_usd: '0.0003' },
    ];
    const section = {
      providers: {
        main: {
          type: 'openai-compatible',
          api_key: 'sk',
          base_url: `${upstream.url}/v1`,
          allow_private: true,
        },
      },
      models: { whisper: { targets: [{ provider: 'main', model: 'whisper-1', prices: perSecond }] } },
    };
    const own = await startGateway({ section, shared: { budgets } });
    const sdk = new OpenAI({ baseURL: `${own.url}/v1`, apiKey: own.key, maxRetries: 0 });
    upstream.use(jsonPlan({ text: 'Hello.', duration: 1 }));
    const whisper = { file: await speech(), model: 'whisper' };
    // 270 bytes are at most two seconds, which cost 200,000 nano-USD; one is what they cost in the end.
    await sdk.audio.transcriptions.create(whisper);
    await sdk.audio.transcriptions.create(whisper);
    const before = upstream.requests.length;
    await expect(sdk.audio.transcriptions.create(whisper)).rejects.toMatchObject({
      status: 402,
      code: 'budget_exceeded',
    });
    expect(upstream.requests).toHaveLength(before);
    await own.close();
  });

  const head = (disposition: string) =>
    `--b\r\ncontent-disposition: form-data; ${disposition}\r\n\r\nwhisper`;
  test.each([
    ['no boundary', 'multipart/form-data', `${head('name="model"')}\r\n--b--\r\n`, 'form_invalid'],
    ['no end', 'multipart/form-data; boundary=b', head('name="model"'), 'form_invalid'],
    ['no model', 'multipart/form-data; boundary=b', `${head('name="x"')}\r\n--b--\r\n`, 'model_missing'],
    [
      'two names',
      'multipart/form-data; boundary=b',
      `${head('name="a"; name="model"')}\r\n--b--`,
      'form_invalid',
    ],
    [
      'an extended name',
      'multipart/form-data; boundary=b',
      `${head("name*=utf-8''model")}\r\n--b--`,
      'form_invalid',
    ],
    [
      'a boundary that goes on',
      'multipart/form-data; boundary=b',
      `${head('name="a"')}\r\n--bc\r\n--b--`,
      'form_invalid',
    ],
    [
      'another upstream',
      'multipart/form-data; boundary=b',
      `${head('name="base_url"')}\r\n--b--`,
      'upstream_override',
    ],
    ['json', 'application/json', '{}', 'media_type_unsupported'],
  ])('%s', async (_what, type, body, code) => {
    const answer = await post(gateway, '/v1/audio/transcriptions', body, { 'content-type': type });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ error: { code } });
  });
});
