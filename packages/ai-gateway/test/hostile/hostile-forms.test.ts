import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { mutate, split } from '@strata/shared/testing/mutate.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningGateway, startGateway } from '../harness.ts';

/** Forms that are broken at any byte, and clients that leave at any byte: answered or refused in OpenAI's words, and nothing of them stays. */

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({
    plan: jsonPlan({ id: 'file-1', object: 'file', purpose: 'x', text: 'said', data: [], created: 1 }),
  });
  const provider = { type: 'openai-compatible', api_key: 'sk-provider', allow_private: true };
  gateway = await startGateway({
    section: {
      providers: { fake: { ...provider, base_url: `${upstream.url}/v1` } },
      files_provider: 'fake',
      models: { m: { targets: [{ provider: 'fake', model: 'another' }] } },
      attempts: { max_rounds: 1 },
      max_upload_bytes: 100_000,
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

const part = (head: string, content: string) =>
  `--cut\r\nContent-Disposition: form-data; name=${head}\r\n\r\n${content}\r\n`;
const form = (...parts: string[]) => Buffer.from(`${parts.join('')}--cut--\r\n`);
const line = JSON.stringify({
  custom_id: 'a',
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'm', messages: [{ role: 'user', content: 'x' }] },
});

const sound = part('"file"; filename="a.wav"\r\nContent-Type: audio/wav', 'RIFF\0\r\n--cu\r\n-');
const model = part('"model"', 'm');
const forms: Readonly<Record<string, Buffer>> = {
  '/v1/audio/transcriptions': form(
    sound,
    model,
    part('"response_format"', 'json'),
    part('"stream"', 'false'),
  ),
  '/v1/audio/translations': form(model, part('temperature', '0.5'), sound),
  '/v1/images/edits': form(
    part('"image[]"; filename="a.png"', '\x89PNG'),
    part('"image[]"; filename="b.png"', '\x89PNG'),
    part('"prompt"', 'a hat'),
    model,
  ),
  '/v1/images/variations': form(part('"image"; filename*=UTF-8\'\'%e2%82%ac.png', '\x89PNG'), model),
  '/v1/files': form(part('"purpose"', 'user_data'), part('"file"; filename="a.pdf"', '%PDF-1.4')),
  '/v1/files, a batch': form(
    part('"purpose"', 'batch'),
    part('"file"; filename="a.jsonl"', `${line}\n${line.replace('"a"', '"b"')}\n`),
  ),
  '/providers/fake/files': form(part('"purpose"', 'x'), part('"file"; filename="a"', 'x')),
};

interface Sending {
  readonly path: string;
  readonly pieces: readonly Buffer[];
  readonly type: string;
  /** The client is gone behind the last piece. */
  readonly isLeft: boolean;
}

interface Answered {
  readonly status: number;
  readonly body: string;
}

/** Undefined for a client that left. */
async function send({ path, pieces, type, isLeft }: Sending): Promise<Answered | undefined> {
  const request = httpRequest(`${gateway.url}${path}`, {
    method: 'POST',
    agent: false,
    headers: { authorization: `Bearer ${gateway.key}`, 'content-type': type },
  });
  const closed = new Promise<void>(resolve => request.once('close', resolve));
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  answered.catch(() => {}); // of a client that leaves
  request.on('error', () => {}); // a refusal may come while the rest is still being sent
  for (const piece of pieces) await new Promise<void>(resolve => request.write(piece, () => resolve()));
  if (isLeft) {
    request.destroy();
    await closed;
    return undefined;
  }
  request.end();
  const [response] = await answered;
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() };
}

const types = [
  '',
  'multipart/form-data',
  'multipart/form-data; boundary=',
  'multipart/form-data; boundary="cut"',
];

/** OpenAI's words; of a provider's own API the problem document. */
function check(answered: Answered | undefined): void {
  if (answered === undefined || answered.status < 400) return;
  expect(answered.status, answered.body).toBeLessThan(500);
  const said = JSON.parse(answered.body) as { error?: { message?: unknown }; detail?: unknown };
  expect(typeof (said.error?.message ?? said.detail), answered.body).toBe('string');
}

const rounds = sized({ ci: 150, soak: 20_000 });
const seed = Math.floor(Math.random() * 2 ** 31);

describe.each(Object.entries(forms))('%s', (name, whole) => {
  test(`${rounds} of them (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const [path = ''] = name.split(',');
    for (let round = 0; round < rounds; round++) {
      const type = random() < 0.1 ? types[Math.floor(random() * types.length)] : undefined;
      const pieces = split(mutate([whole], random), random).filter(each => each.length > 0);
      const isLeft = random() < 0.1;
      check(await send({ path, pieces, type: type ?? 'multipart/form-data; boundary=cut', isLeft }));
    }
  });

  test('cut at each byte', async () => {
    const [path = ''] = name.split(',');
    const type = 'multipart/form-data; boundary=cut';
    for (let end = 1; end < whole.length; end += sized({ ci: 5, soak: 1 }))
      check(await send({ path, pieces: [whole.subarray(0, end)], type, isLeft: false }));
  });

  test('as it is it is answered', async () => {
    const [path = ''] = name.split(',');
    const answered = await send({
      path,
      pieces: [whole],
      type: 'multipart/form-data; boundary=cut',
      isLeft: false,
    });
    expect(answered).toMatchObject({ status: 200 });
  });
});

test('nothing of them is left on the disk', async () => {
  await expect
    .poll(() => readdirSync(join(gateway.deps.dataDir, 'uploads')), { timeout: 10_000 })
    .toEqual([]);
});
