import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SseReader } from '../../http/sse.ts';
import { createManualClock } from '../manual-clock.ts';
import { type Simulator, startSimulator } from './simulator.ts';

let simulator: Simulator;

beforeEach(async () => {
  simulator = await startSimulator();
});

afterEach(() => simulator.close());

const chat = (content: string, more: object = {}) => ({
  model: 'gpt-4o',
  messages: [{ role: 'user', content }],
  ...more,
});

const post = (body: object, headers: Record<string, string> = {}, url = simulator.url) =>
  fetch(`${url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer x', ...headers },
    body: JSON.stringify(body),
  });

/** The data of all events up to the end, and how the body ended. */
async function readEvents(response: Response): Promise<{ data: string[]; end: 'complete' | 'broken' }> {
  const reader = new SseReader();
  const data: string[] = [];
  try {
    for await (const chunk of response.body ?? [])
      for (const event of reader.push(chunk)) data.push(event.data);
    return { data, end: 'complete' };
  } catch {
    return { data, end: 'broken' };
  }
}

const stream = { stream: true };

describe('faults', () => {
  it.each([
    ['cut-after-events=3', 3, 'broken'],
    ['fin-after-events=3', 3, 'broken'],
    ['end-after-events=3', 3, 'complete'],
    ['cut-after-events=0', 0, 'broken'],
  ])('%s ends a stream after exactly that many events', async (fault, events, end) => {
    const read = await readEvents(await post(chat('[[words: 50]]', stream), { 'x-sim-fault': fault }));
    expect(read.data).toHaveLength(events);
    expect(read.end).toBe(end);
    expect(simulator.requests[0]).toMatchObject({ eventsSent: events, outcome: 'broken', fault });
    expect(simulator.meter.aborted).toMatchObject([{ index: 1, eventsSent: events }]);
  });

  it('stalls until the client leaves', async () => {
    const leave = new AbortController();
    const response = await fetch(`${simulator.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer x', 'x-sim-fault': 'stall-after-events=2' },
      body: JSON.stringify(chat('[[words: 50]]', stream)),
      signal: leave.signal,
    });
    const reader = response.body?.getReader();
    const first = await reader?.read();
    expect(new SseReader().push(first?.value ?? new Uint8Array())).toHaveLength(2);
    leave.abort();
    const request = await simulator.until(({ outcome }) => outcome !== 'open');
    expect(request).toMatchObject({ outcome: 'client-left', eventsSent: 2 });
  });

  it('says in the stream that it failed, and ends it', async () => {
    const { data } = await readEvents(
      await post(chat('[[words: 50]] [[fault: error-event-after=2]]', stream)),
    );
    expect(data).toHaveLength(3);
    expect(JSON.parse(data[2] ?? '')).toMatchObject({ error: { type: 'server_error' } });
  });

  it('sends an event that cannot be parsed, and goes on', async () => {
    const { data } = await readEvents(
      await post(chat('[[words: 50]] [[fault: malformed-after-events=1]]', stream)),
    );
    expect(() => JSON.parse(data[1] ?? '')).toThrow(SyntaxError);
    expect(data.at(-1)).toBe('[DONE]');
  });

  it('leaves the usage out', async () => {
    const whole = await (await post(chat('Hi [[fault: no-usage]]'))).json();
    expect(whole).not.toHaveProperty('usage');
    const options = { ...stream, stream_options: { include_usage: true } };
    const { data } = await readEvents(await post(chat('Hi', options), { 'x-sim-fault': 'no-usage' }));
    expect(data.every(each => each === '[DONE]' || !JSON.parse(each).usage)).toBe(true);
  });

  it.each(['rst-before-headers', 'fin-before-headers'])('%s: no answer at all', async fault => {
    await expect(post(chat('Hi'), { 'x-sim-fault': fault })).rejects.toThrow('fetch failed');
  });

  it.each(['cut-after-events=1', 'fin-after-events=1'])(
    '%s breaks a whole answer in its middle',
    async fault => {
      const response = await post(chat('Hi'), { 'x-sim-fault': fault });
      expect(response.status).toBe(200);
      await expect(response.text()).rejects.toThrow();
    },
  );

  it('answers with what no API would send', async () => {
    const page = await post(chat('Hi'), { 'x-sim-fault': 'html' });
    expect(page.headers.get('content-type')).toContain('text/html');
    expect(await (await post(chat('Hi'), { 'x-sim-fault': 'empty-body' })).text()).toBe('');
  });

  it('answers with a status, and happens as often as it says', async () => {
    const fault = 'status=503;retry-after=7;times=2;id=a';
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      const response = await post(chat(`Hi [[fault: ${fault}]]`));
      statuses.push(response.status);
      if (attempt === 0) expect(response.headers.get('retry-after')).toBe('7');
    }
    expect(statuses).toEqual([503, 503, 200]);
  });

  it.each(['nonsense', 'status=x', 'cut-after-events'])(
    'refuses a fault that it does not know: %s',
    async fault => {
      const response = await post(chat('Hi'), { 'x-sim-fault': fault });
      expect(response.status).toBe(400);
      expect(await response.text()).toContain('fault');
      expect((await post(chat(`[[fault: ${fault}]]`))).status).toBe(400);
    },
  );
});

describe('pace', () => {
  it('is the time to the first token and tokens per second', async () => {
    await simulator.close();
    const clock = createManualClock();
    simulator = await startSimulator({ clock, ttftMs: 500, tokensPerSecond: 10 });
    const response = post(chat('[[say: 12345678]]', stream));
    await clock.pendingReached(1);
    await clock.advance(499);
    expect(simulator.requests[0]?.status).toBeUndefined();
    await clock.advance(1);
    const events = readEvents(await response);
    await clock.pendingReached(1);
    expect(simulator.requests[0]?.outputTokensSent).toBe(0);
    await clock.advance(100);
    expect(simulator.requests[0]?.outputTokensSent).toBe(1);
    await clock.pendingReached(1);
    await clock.advance(100);
    expect((await events).end).toBe('complete');
    expect(simulator.requests[0]).toMatchObject({ outputTokensSent: 2, outcome: 'completed' });
  });

  it('can be set by a request', async () => {
    await simulator.close();
    const clock = createManualClock();
    simulator = await startSimulator({ clock });
    const response = post(chat('[[say: 12345678]]'), {
      'x-sim-ttft-ms': '100',
      'x-sim-tokens-per-second': '10',
    });
    await clock.pendingReached(1);
    await clock.advance(299);
    expect(simulator.requests[0]?.status).toBeUndefined();
    await clock.advance(1);
    expect((await response).status).toBe(200);
  });
});

describe('bookkeeping', () => {
  it('bills what was asked and answered, and of a stream that broke what was sent', async () => {
    await post(chat('[[words: 10]]'));
    await readEvents(await post(chat('[[words: 10]]', stream)));
    await readEvents(await post(chat('[[words: 10]]', stream), { 'x-sim-fault': 'cut-after-events=5' }));
    await post(chat('Hi'), { 'x-sim-fault': 'status=500' });
    const { outputTokensSent: whole } = simulator.requests[0] ?? { outputTokensSent: 0 };
    expect(whole).toBe(14);
    expect(simulator.meter).toMatchObject({
      requests: 4,
      open: 0,
      statuses: { 200: 3, 500: 1 },
      billed: {
        'openai/gpt-4o': { requests: 3, inputTokens: 21, outputTokens: 2 * whole + 4, abortedStreams: 1 },
      },
    });
  });

  it('gives every answer another id, in the same order from the same seed', async () => {
    const ids = async (seed: string) => {
      const own = await startSimulator({ seed });
      const answers = [await post(chat('a'), {}, own.url), await post(chat('a'), {}, own.url)];
      const found = await Promise.all(
        answers.map(async answer => ((await answer.json()) as { id: string }).id),
      );
      await own.close();
      return found;
    };
    const [first, again, other] = [await ids('x'), await ids('x'), await ids('y')];
    expect(first).toEqual(again);
    expect(new Set([...first, ...other]).size).toBe(4);
  });

  it('takes no other keys and models than it is told', async () => {
    await simulator.close();
    simulator = await startSimulator({ keys: ['right'], models: ['my-model'] });
    expect((await post(chat('Hi'))).status).toBe(401);
    const own = await post(chat('Hi', { model: 'my-model' }), { authorization: 'Bearer right' });
    expect(own.status).toBe(200);
  });

  it('keeps what was asked, with headers and body', async () => {
    await post(chat('Hi'), { 'x-mine': '1' });
    const [request] = simulator.requests;
    expect(request).toMatchObject({ protocol: 'openai', operation: 'chat', model: 'gpt-4o', status: 200 });
    expect(request?.headers['x-mine']).toBe('1');
    expect(request?.json()).toEqual(chat('Hi'));
  });

  it('survives what is not HTTP', async () => {
    const socket = createConnection(simulator.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.end('hello\r\n\r\n');
    await once(socket, 'close');
    expect((await post(chat('Hi'))).status).toBe(200);
  });
});

describe('control by other processes', () => {
  const control = (method: string, path: string, body?: object) =>
    fetch(`${simulator.url}/_simulator${path}`, { method, ...(body ? { body: JSON.stringify(body) } : {}) });

  it('takes rules for requests to come', async () => {
    const rule = {
      match: { protocol: 'openai', model: 'gpt-4o', body_includes: 'doomed' },
      fault: 'status=500',
      times: 1,
    };
    expect((await control('POST', '/faults', rule)).status).toBe(201);
    expect((await post(chat('Hi'))).status).toBe(200);
    expect((await post(chat('doomed'))).status).toBe(500);
    expect((await post(chat('doomed'))).status).toBe(200);
    expect(await (await control('GET', '/faults')).json()).toEqual({ faults: [] });
  });

  it('refuses a rule that it does not understand', async () => {
    expect((await control('POST', '/faults', { fault: 'nonsense' })).status).toBe(400);
    expect((await control('POST', '/faults', { foult: 'status=500' })).status).toBe(400);
  });

  it('shows requests and the meter, and forgets them', async () => {
    await post(chat('Hi'));
    const { requests } = (await (await control('GET', '/requests?limit=1')).json()) as { requests: object[] };
    expect(requests).toMatchObject([{ protocol: 'openai', body: { model: 'gpt-4o' }, outcome: 'completed' }]);
    expect(await (await control('GET', '/meter')).json()).toMatchObject({ requests: 1 });
    await control('POST', '/reset');
    expect(await (await control('GET', '/meter')).json()).toMatchObject({ requests: 0, billed: {} });
  });
});

describe('as a process of its own', () => {
  const main = `${import.meta.dirname}/main.ts`;

  it('says where it is, answers, and ends on SIGTERM', async () => {
    const child = spawn(process.execPath, [main, '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const url = /http:\S+/.exec(line.toString())?.[0] ?? '';
    const client = new OpenAI({ baseURL: `${url}/openai/v1`, apiKey: 'x' });
    const answer = await client.chat.completions.create({
      model: 'gpt-5-mini',
      messages: [{ role: 'user', content: 'Hi' }],
    });
    expect(answer.choices[0]?.message.content).toBe('You said: Hi');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('refuses options that it does not know', async () => {
    const failure = await new Promise(resolve => execFile(process.execPath, [main, '--prot', '1'], resolve));
    expect(String(failure)).toContain("Unknown option '--prot'");
  });
});
