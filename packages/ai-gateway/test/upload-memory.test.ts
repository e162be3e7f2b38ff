import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { sized } from '@strata/shared/testing/size.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type GatewayPlaces, openGatewayPlaces } from './support/gateway-processes.ts';

/** Forms of any size through a gateway process whose memory is looked at from outside. */

const mebibyte = 1024 * 1024;
const largeMebibytes = sized({ ci: 192, soak: 2048 });
const maxUploadBytes = (largeMebibytes + 1) * mebibyte;
/** Of resident memory beyond what a form of 8 MiB needs; far less than the large one, and than two of it at once. */
const maxGrowthMebibytes = 96;

interface Received {
  readonly path: string;
  readonly bytes: number;
  readonly length: string | undefined;
  readonly digest: string;
}

const received: Received[] = [];
let isRefusing = false;
const upstream = createServer((request, response) => {
  const sum = createHash('sha256');
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    sum.update(chunk);
  });
  request.on('end', () => {
    const { 'content-length': length } = request.headers;
    received.push({ path: request.url ?? '', bytes, length, digest: sum.digest('hex') });
    const status = isRefusing && request.url?.startsWith('/first') ? 503 : 200;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({ id: 'file-1', object: 'file', text: 'ok', usage: { type: 'duration', seconds: 1 } }),
    );
  });
});

let gateways: GatewayPlaces;

beforeAll(async () => {
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo; // a TCP server that listens has one
  const provider = (name: string) => ({
    ...{ type: 'openai-compatible', api_key: 'x', allow_private: true },
    base_url: `http://127.0.0.1:${port}/${name}/v1`,
  });
  gateways = await openGatewayPlaces({
    count: 1,
    config: {
      ai_gateway: {
        listen: { port: 0 },
        providers: { first: provider('first'), second: provider('second') },
        files_provider: 'first',
        models: {
          whisper: {
            targets: ['first', 'second'].map(name => ({ provider: name, model: 'tall-one' })),
          },
        },
        max_upload_bytes: maxUploadBytes,
      },
    },
  });
  await gateways.places[0]?.start();
});
afterAll(async () => {
  await gateways.close();
  upstream.close();
});

const block = Buffer.alloc(mebibyte, '0123456789abcde\n');
const head = (field: string, more = '') =>
  `--cut\r\ncontent-disposition: form-data; name="${field}"${more}\r\n\r\n`;

/** The model stands behind the file, where official SDKs put it. */
function* form(mebibytes: number, { field, value }: { field: string; value: string }): Generator<Buffer> {
  yield Buffer.from(head('file', '; filename="long.wav"'));
  for (let index = 0; index < mebibytes; index++) yield block;
  yield Buffer.from(`\r\n${head(field)}${value}\r\n--cut--\r\n`);
}

function digestOf(chunks: Iterable<Buffer>): string {
  const sum = createHash('sha256');
  for (const chunk of chunks) sum.update(chunk);
  return sum.digest('hex');
}

async function upload(path: string, chunks: Iterable<Buffer>): Promise<number> {
  const request = httpRequest(`${gateways.places[0]?.url}${path}`, {
    method: 'POST',
    agent: false,
    headers: {
      authorization: `Bearer ${gateways.key}`,
      'content-type': 'multipart/form-data; boundary=cut',
    },
  });
  request.on('error', () => {}); // a refusal may come while it is still being sent
  Readable.from(chunks, { objectMode: false }).pipe(request);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  request.destroy();
  return response.statusCode ?? 0;
}

/** The most that was resident while it was uploaded. */
async function peakDuring(path: string, chunks: Iterable<Buffer>): Promise<number> {
  writeFileSync(`/proc/${gateways.places[0]?.pid}/clear_refs`, '5'); // else the peak of what was before would hide it
  expect(await upload(path, chunks)).toBe(200);
  const status = readFileSync(`/proc/${gateways.places[0]?.pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

const transcription = {
  path: '/v1/audio/transcriptions',
  field: 'model',
  value: 'whisper',
  sent: 'tall-one',
};
const fileUpload = { path: '/v1/files', field: 'purpose', value: 'user_data', sent: 'user_data' };

const rawUpload = {
  path: '/providers/first/uploads',
  field: 'purpose',
  value: 'user_data',
  sent: 'user_data',
};

test.each([transcription, fileUpload, rawUpload])(
  '$path: memory does not grow with the file, and every byte arrives',
  async ({ path, field, value, sent }) => {
    const before = await peakDuring(path, form(8, { field, value }));
    received.length = 0;
    const large = await peakDuring(path, form(largeMebibytes, { field, value }));
    const expected = digestOf(form(largeMebibytes, { field, value: sent }));
    expect(received).toMatchObject([{ digest: expected, length: String(received[0]?.bytes) }]);
    const growth = large - before;
    process.stdout.write(`${path}: ${largeMebibytes} MiB took ${growth.toFixed(1)} MiB more than 8 MiB\n`);
    expect(growth).toBeLessThan(maxGrowthMebibytes);
  },
);

test('the next target gets the same bytes', async () => {
  isRefusing = true;
  received.length = 0;
  expect(await upload('/v1/audio/transcriptions', form(16, { field: 'model', value: 'whisper' }))).toBe(200);
  const digest = digestOf(form(16, { field: 'model', value: 'tall-one' }));
  expect(received.map(each => each.digest)).toEqual([digest, digest]);
  expect(received.map(each => each.path.split('/')[1])).toEqual(['first', 'second']);
  isRefusing = false;
});

test('more than the limit is refused, and nothing of it is sent on', async () => {
  received.length = 0;
  const tooLarge = form(largeMebibytes + 2, { field: 'model', value: 'whisper' });
  expect(await upload('/v1/audio/transcriptions', tooLarge)).toBe(413);
  expect(received).toEqual([]);
});
