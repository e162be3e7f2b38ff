import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, startFarEnd } from './support/http-far-end.ts';

/** `call: http` as the specification has it: what goes out, and what of the answer becomes the task's output. */

let gateway: TestGateway;
let farEnd: FarEnd;

beforeAll(async () => {
  farEnd = await startFarEnd(({ path }, response) => {
    if (path === '/elsewhere') return void response.writeHead(302, { location: '/' }).end();
    if (path === '/none') return void response.writeHead(204).end();
    if (path === '/bytes')
      return void response
        .setHeader('content-type', 'application/octet-stream')
        .end(Buffer.from([0, 255, 1]));
    if (path === '/text')
      return void response.setHeader('content-type', 'text/plain; charset=utf-8').end('héllo');
    response.setHeader('content-type', 'application/problem+json').end('{"a":[1]}');
  });
  gateway = await startGateway();
});
afterAll(async () => {
  await gateway.close();
  await farEnd.close();
});

async function callHttp(options: Record<string, unknown>, input: unknown = {}) {
  const tasks = [{ ask: { call: 'http', with: { method: 'get', endpoint: `${farEnd.url}/`, ...options } } }];
  const body = { definition: definitionOf(tasks), input };
  const { status, body: run } = await gateway.call('POST', '/v1/runs?wait=20', { body });
  expect(status, JSON.stringify(run)).toBe(200);
  return run;
}

test('the content is what its type says, in bytes when asked for', async () => {
  const outputs: unknown[] = [];
  for (const [path, output] of [
    ['/', 'content'],
    ['/text', 'content'],
    ['/bytes', 'content'],
    ['/none', 'content'],
    ['/text', 'raw'],
  ]) {
    const run = await callHttp({ endpoint: farEnd.url + path, output });
    outputs.push(run.output);
  }
  expect(outputs).toEqual([{ a: [1] }, 'héllo', 'AP8B', null, Buffer.from('héllo').toString('base64')]);
  const { output } = await callHttp({ output: 'response' });
  expect(output).toMatchObject({
    request: { method: 'GET', uri: `${farEnd.url}/` },
    statusCode: 200,
    content: { a: [1] },
  });
});

test('a redirection is an error, or an answer where the task says so; nothing follows it', async () => {
  const endpoint = `${farEnd.url}/elsewhere`;
  expect(await callHttp({ endpoint })).toMatchObject({ status: 'failed', error: { status: 302 } });
  expect(await callHttp({ endpoint, redirect: true, output: 'response' })).toMatchObject({
    output: { statusCode: 302, headers: { location: '/' } },
  });
  expect(farEnd.received.slice(-2).map(each => each.path)).toEqual(['/elsewhere', '/elsewhere']);
});

test('a body is a text as it is, the members of a form, or JSON', async () => {
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const fields = { name: '${ .name }', n: 1, none: null, both: ['x', true], deep: { a: 1 } };
  const sent: [unknown, unknown][] = [];
  for (const options of [
    { body: '${ .name }' },
    { body: { name: '${ .name }' } },
    { body: fields, headers: form },
    { body: 'a=b', headers: form },
  ]) {
    await callHttp({ method: 'post', ...options }, { name: 'Zoë & co' });
    const { headers, body } = farEnd.received.at(-1) ?? { headers: {}, body: undefined };
    sent.push([headers['content-type'], body]);
  }
  expect(sent).toEqual([
    ['text/plain; charset=utf-8', 'Zoë & co'],
    ['application/json', '{"name":"Zoë & co"}'],
    [
      'application/x-www-form-urlencoded',
      'name=Zo%C3%AB+%26+co&n=1&none=&both=x&both=true&deep=%7B%22a%22%3A1%7D',
    ],
    ['application/x-www-form-urlencoded', 'a=b'],
  ]);
});

test('names in braces stand for members of the input, escaped; a query is added to what the address has', async () => {
  const { status } = await callHttp(
    { endpoint: `${farEnd.url}/{id}/{missing}?a=1`, query: { b: '${ .id }' } },
    { id: 'a/b ü' },
  );
  expect(status).toBe('completed');
  expect(farEnd.received.at(-1)?.path).toBe('/a%2Fb%20%C3%BC/?a=1&b=a%2Fb+%C3%BC');
});

test('[S-3] a private address is refused, and the message says who opens it and where', async () => {
  for (const host of ['10.0.0.1', '169.254.169.254', '[::1]', 'localhost']) {
    const { error } = await callHttp({ endpoint: `http://${host}/` });
    expect(error).toMatchObject({
      type: 'https://serverlessworkflow.io/spec/1.0.0/errors/authorization',
      status: 403,
      detail: expect.stringContaining('agent_gateway.http_calls.private_hosts'),
    });
  }
});
