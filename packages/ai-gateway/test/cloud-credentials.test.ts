import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { messagesRequest, post, type RunningGateway, startGateway } from './harness.ts';
import { chatCompletion } from './recordings.ts';

/** The clouds' own chains of credentials, against local servers of tokens; and a Bedrock that recomputes every signature. */

const awsKey = { accessKeyId: 'ASIAEXAMPLE', secretAccessKey: 'c2VjcmV0', sessionToken: 'session' };
const asked: { path: string; headers: IncomingMessage['headers'] }[] = [];
let server: Server;
let url: string;
let gateway: RunningGateway;
let tokens = 0;

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const { status, body, headers = {} } = await answerTo(request, Buffer.concat(chunks));
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(body));
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  await gateway.close();
  vi.unstubAllEnvs();
});
afterAll(() => server.close());

interface Answered {
  readonly status: number;
  readonly body: object;
  readonly headers?: Record<string, string>;
}

async function answerTo(request: IncomingMessage, body: Buffer): Promise<Answered> {
  const path = request.url ?? '';
  asked.push({ path, headers: request.headers });
  if (path.startsWith('/aws-credentials')) {
    tokens++;
    const { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token } = awsKey;
    const Expiration = new Date(Date.now() + 3_600_000).toISOString();
    return { status: 200, body: { AccessKeyId, SecretAccessKey, Token, Expiration } };
  }
  if (path.startsWith('/computeMetadata')) {
    if (path.includes('/token')) tokens++;
    const found = { access_token: 'google-token', expires_in: 3600, token_type: 'Bearer' };
    return { status: 200, body: found, headers: { 'metadata-flavor': 'Google' } };
  }
  if (path.startsWith('/entra')) {
    tokens++;
    const expires_on = String(Math.floor(Date.now() / 1000) + 3600);
    return {
      status: 200,
      body: { access_token: 'entra-token', expires_on, token_type: 'Bearer', resource: 'r' },
    };
  }
  if (path.startsWith('/model/')) return answerSigned(request, body);
  if (path.includes('generateContent')) {
    const content = { role: 'model', parts: [{ text: 'Hi' }] };
    return { status: 200, body: { candidates: [{ content, finishReason: 'STOP' }], usageMetadata: {} } };
  }
  return { status: 200, body: chatCompletion };
}

class Sha256 {
  readonly #hash;

  constructor(secret?: Parameters<typeof createHmac>[1] | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as Uint8Array); // the signer gives texts and byte arrays
  }

  update(data: Uint8Array | string): void {
    this.#hash.update(data);
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {}
}

/** As AWS does: signs what came with the secret of the key that is named, and compares. */
async function answerSigned(request: IncomingMessage, body: Buffer): Promise<Answered> {
  const { authorization = '', 'x-amz-date': date = '' } = request.headers;
  const signedHeaders = /SignedHeaders=([^,]+)/.exec(authorization)?.[1]?.split(';') ?? [];
  const time = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(date))?.slice(1).map(Number) ?? [];
  const [year = 0, month = 1, day = 1, hours = 0, minutes = 0, seconds = 0] = time;
  const signer = new SignatureV4({
    service: 'bedrock',
    region: 'eu-central-1',
    sha256: Sha256,
    credentials: awsKey,
  });
  const signed = await signer.sign(
    {
      method: request.method ?? '',
      protocol: 'http:',
      hostname: '127.0.0.1',
      path: request.url ?? '',
      query: {},
      headers: Object.fromEntries(
        signedHeaders
          .filter(name => !['x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'].includes(name))
          .map(name => [name, String(request.headers[name])]),
      ),
      body,
    },
    { signingDate: new Date(Date.UTC(year, month - 1, day, hours, minutes, seconds)) },
  );
  if (signed.headers.authorization !== authorization) {
    const headers = { 'x-amzn-errortype': 'InvalidSignatureException' };
    return { status: 403, body: { message: 'The request signature does not match.' }, headers };
  }
  const message = { role: 'assistant', content: [{ text: 'Hi' }] };
  const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 };
  return { status: 200, body: { output: { message }, stopReason: 'end_turn', usage } };
}

async function start(provider: object): Promise<void> {
  asked.length = 0;
  tokens = 0;
  gateway = await startGateway({
    section: {
      providers: { cloud: { base_url: url, allow_private: true, ...provider } },
      models: { messages: { targets: [{ provider: 'cloud', model: 'anthropic.claude:0/x' }] } },
      attempts: { max_rounds: 1 },
    },
  });
}

const ask = () => post(gateway, '/v1/messages', messagesRequest());
const bedrock = { type: 'bedrock', region: 'eu-central-1' };

test("AWS's own chain: credentials of the container, kept, and a signature that AWS would take", async () => {
  for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE'])
    vi.stubEnv(name, undefined);
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nonexistent');
  vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent');
  vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `${url}/aws-credentials`);
  await start(bedrock);
  for (let index = 0; index < 3; index++) {
    const answer = await ask();
    expect(answer.status, answer.body.toString()).toBe(200);
  }
  expect(tokens).toBe(1);
  expect(asked.at(-1)?.headers['x-amz-security-token']).toBe('session');
});

test('a signature with another secret is refused by the upstream, and told as what it is', async () => {
  const access_key = {
    access_key_id: awsKey.accessKeyId,
    secret_access_key: 'wrong',
    session_token: 'session',
  };
  await start({ ...bedrock, access_key });
  const answer = await ask();
  expect(answer.status).toBe(502);
  expect(answer.body.toString()).toContain('upstream_credential_refused');
});

test("Google's own chain: a token of the metadata server, kept", async () => {
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', undefined);
  vi.stubEnv('CLOUDSDK_CONFIG', '/nonexistent');
  vi.stubEnv('METADATA_SERVER_DETECTION', 'assume-present');
  vi.stubEnv('GCE_METADATA_HOST', url.replace('http://', ''));
  await start({ type: 'vertex', project: 'p1' });
  for (let index = 0; index < 2; index++) expect((await ask()).status).toBe(200);
  expect(asked.at(-1)?.headers.authorization).toBe('Bearer google-token');
  expect(tokens).toBe(1);
});

test("Azure's own chain: a token of the managed identity, kept; by the v1 API and by deployments", async () => {
  vi.stubEnv('AZURE_TOKEN_CREDENTIALS', 'ManagedIdentityCredential');
  vi.stubEnv('IDENTITY_ENDPOINT', `${url}/entra`);
  vi.stubEnv('IDENTITY_HEADER', 'secret');
  await start({ type: 'azure-openai', api_version: '2024-10-21' });
  for (let index = 0; index < 5; index++) expect((await ask()).status).toBe(200);
  expect(asked.at(-1)).toMatchObject({
    path: '/openai/deployments/anthropic.claude%3A0%2Fx/chat/completions?api-version=2024-10-21',
    headers: { authorization: 'Bearer entra-token' },
  });
  expect(tokens).toBe(1);
  await gateway.close();
  await start({ type: 'azure-openai' });
  const chat = await post(gateway, '/v1/chat/completions', { model: 'messages', messages: [] });
  expect(chat.status).toBe(200);
  expect(asked.at(-1)).toMatchObject({
    path: '/openai/v1/chat/completions',
    headers: { authorization: 'Bearer entra-token' },
  });
});

test('without any of it the client is told that there is no credential', async () => {
  for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE'])
    vi.stubEnv(name, undefined);
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nonexistent');
  vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent');
  await start(bedrock);
  const answer = await ask();
  expect(answer.status).toBe(502);
  expect(answer.body.toString()).toContain('upstream_credential_unavailable');
});

test('Gemini clients may say their key in the query, and it goes no further', async () => {
  await start({ type: 'gemini', api_key: 'k' });
  const query = `key=${gateway.key}`;
  const body = JSON.stringify({ contents: [{ role: 'user', parts: [{ text: 'Hi' }] }] });
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
  const path = `${gateway.url}/v1beta/models/messages`;
  const whole = await fetch(`${path}:generateContent?${query}`, init);
  expect(whole.status).toBe(200);
  expect(asked.at(-1)?.path).not.toContain('key=');
  expect(asked.at(-1)?.headers['x-goog-api-key']).toBe('k');
  expect((await fetch(`${path}:generateContent?key=sk-strata-wrong`, init)).status).toBe(401);
});
