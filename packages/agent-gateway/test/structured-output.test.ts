import { afterEach, expect, test } from 'vitest';
import type { ChatMessage } from '../src/agents/chat-message.ts';
import { estimateTokens, fitConversation } from '../src/agents/context-window.ts';
import { definitionOf, startGateway } from './support/gateway.ts';
import { type ChatBody, startModel } from './support/model.ts';
import { startToolServer } from './support/tool-server.ts';

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const verdict = {
  type: 'object',
  properties: { grade: { enum: ['good', 'bad'] }, confidence: { type: 'number' } },
  required: ['grade', 'confidence'],
  additionalProperties: false,
};

async function start(
  reply: Parameters<typeof startModel>[0],
  tools: Parameters<typeof startToolServer>[0] = [],
) {
  const model = await startModel(reply);
  const toolServer = await startToolServer(tools);
  opened.push(model, toolServer);
  const gateway = await startGateway({
    config: { ai_gateway: model.url, mcp_gateway: `${toolServer.url}/mcp` },
  });
  opened.push(gateway);
  const run = async (call: string, rest: Record<string, unknown> = {}) => {
    const definition = definitionOf([
      { judge: { call, with: { model: 'demo', input: '${ .text }', ...rest } } },
    ]);
    const body = { definition, input: { text: 'the work' } };
    return (await gateway.call('POST', '/v1/runs?wait=20', { body })).body;
  };
  return {
    gateway,
    model,
    toolServer,
    run,
    bodies: () => model.received.map(each => JSON.parse(each.body) as ChatBody),
  };
}

test('`call: llm` asks once and gives the answer with its circumstances', async () => {
  const { run, bodies } = await start(() => ({ say: 'fine' }));
  const body = await run('llm', { instructions: 'Judge.', temperature: 0 });
  expect(body).toMatchObject({
    status: 'completed',
    output: { content: 'fine', finishReason: 'stop', model: 'demo' },
  });
  expect(bodies()).toEqual([
    {
      model: 'demo',
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
      messages: [
        { role: 'system', content: 'Judge.' },
        { role: 'user', content: 'the work' },
      ],
    },
  ]);
});

test.each(['llm', 'agent'])(
  'with a schema the output of `call: %s` is the data, whatever it was wrapped in',
  async call => {
    const { run, bodies } = await start(() => ({ say: '```json\n{"grade":"good","confidence":0.9}\n```' }));
    expect(await run(call, { outputSchema: verdict })).toMatchObject({
      status: 'completed',
      output: { grade: 'good', confidence: 0.9 },
    });
    expect(bodies()[0]).toMatchObject({
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: verdict } },
    });
  },
);

test('an answer that does not fit is mended by the model, which is told every problem', async () => {
  const answers = ['I think it is good.', '{"grade":"great"}', '{"grade":"bad","confidence":1}'];
  const { run, bodies } = await start((_body, turn) => ({ say: answers[turn - 1] ?? '' }));
  expect(await run('llm', { outputSchema: verdict })).toMatchObject({
    output: { grade: 'bad', confidence: 1 },
  });
  const told = bodies().map(each => each.messages.at(-1)?.content);
  expect(told[1]).toContain('the answer is not JSON');
  expect(told[2]).toContain("must have required property 'confidence'");
  expect(told[2]).toContain('/grade must be equal to one of the allowed values');
});

test('what a model says is seen in the events of the run while it says it, and its cost is known at the end', async () => {
  const pieces = ['The work ', 'is ', 'fine.', ' Really.'];
  const { gateway, run } = await start(() => ({ say: '', pieces }));
  const body = await run('agent');
  expect(body).toMatchObject({
    status: 'completed',
    output: { content: 'The work is fine. Really.', finishReason: 'stop' },
    cost: { nano_usd: '1000', unpriced_calls: 0 },
    usage: { input_tokens: 10, output_tokens: 5 },
  });
  const { body: events } = await gateway.call('GET', `/v1/runs/${body.id}/events?types=call-progressed`);
  const said = [...String(events).matchAll(/^data: (.*)$/gm)].map(match => JSON.parse(match[1] ?? ''));
  expect(said.map(each => each.text).join('')).toBe('The work is fine. Really.');
  expect(said[0]).toMatchObject({ type: 'call-progressed', task: '/do/0/judge', call: 'llm-1' });
});

test('one that is never mended fails the task', async () => {
  const { run, model } = await start(() => ({ say: 'no' }));
  const body = await run('agent', { outputSchema: verdict });
  expect(body).toMatchObject({ status: 'failed', error: { reason: 'agent_output_invalid' } });
  expect(model.received).toHaveLength(3);
});

test('a schema that is none is a mistake of the definition', async () => {
  const { run } = await start(() => ({ say: '' }));
  const body = await run('agent', { outputSchema: { type: 'thing' } });
  expect(body.errors).toEqual([
    expect.objectContaining({
      pointer: '/do/0/judge/with/outputSchema',
      message: expect.stringContaining('JSON Schema'),
    }),
  ]);
});

test('tools may come from one virtual server of the gateway', async () => {
  const { run, toolServer } = await start(
    (_body, turn) => (turn === 1 ? { use: [{ tool: 'files__read', input: {} }] } : { say: 'read' }),
    [{ name: 'files__read', annotations: { readOnlyHint: true }, run: () => 'text' }],
  );
  expect(await run('agent', { tools: ['*'], namespace: 'office' })).toMatchObject({ status: 'completed' });
  expect(new Set(toolServer.received.map(each => each.path))).toEqual(new Set(['/mcp/office']));
});

test('a conversation that the model finds too long is asked again, shorter', async () => {
  let refused = 0;
  const { run, bodies } = await start(
    (body, turn) => {
      if (turn === 1) return { use: [{ tool: 'files__read', input: {} }] };
      if (turn === 2) return { use: [{ tool: 'files__read', input: {} }] };
      if (JSON.stringify(body.messages).length > 30_000) {
        refused++;
        return { status: 400, code: 'context_too_long' };
      }
      return { say: 'read both' };
    },
    [{ name: 'files__read', annotations: { readOnlyHint: true }, run: () => 'x'.repeat(20_000) }],
  );
  const body = await run('agent', { tools: ['*'], maxContextTokens: 20_000 });
  expect(body).toMatchObject({ status: 'completed', output: { content: 'read both', turns: 3 } });
  expect(refused).toBe(1);
  const last = bodies().at(-1)?.messages ?? [];
  expect(last.map(each => each.role)).toEqual(['user', 'assistant', 'tool', 'assistant', 'tool']);
  expect(last[2]?.content).toBe('[removed to save space: 20002 characters]');
  expect(last[4]?.content).toHaveLength(20_002);
});

/** Every answer of the tool is this long; the model takes so many characters, and says only that it takes no more. */
function smallModel(options: {
  takes: number;
  turns: number;
  code: string;
}): Parameters<typeof startModel>[0] {
  return ({ messages }, turn) => {
    if (JSON.stringify(messages).length > options.takes) return { status: 400, code: options.code };
    return turn <= options.turns ? { use: [{ tool: 'files__read', input: {} }] } : { say: 'read' };
  };
}
const longFile = [
  { name: 'files__read', annotations: { readOnlyHint: true }, run: () => 'x'.repeat(20_000) },
];

test.each(['context_length_exceeded', 'upstream_refused_request'])(
  'a model that takes far less than was planned for (%s) gets what it takes, the newest result cut to its beginning',
  async code => {
    const { run, bodies } = await start(smallModel({ takes: 9000, turns: 1, code }), longFile);
    expect(await run('agent', { tools: ['*'] })).toMatchObject({
      status: 'completed',
      output: { content: 'read', turns: 2 },
    });
    const asked = bodies().slice(1);
    expect(asked.length).toBeLessThanOrEqual(4);
    expect(asked.at(-1)?.messages.map(each => each.role)).toEqual(['user', 'assistant', 'tool']);
    expect(asked.at(-1)?.messages[2]?.content).toMatch(/^"x{200,}\n\[cut: 20002 characters\]$/);
  },
);

test('a question that is refused at once is not asked again, and one that cannot be shortened is given up', async () => {
  const refused = await start(smallModel({ takes: 0, turns: 1, code: 'upstream_refused_request' }));
  expect(await refused.run('agent')).toMatchObject({
    status: 'failed',
    error: { reason: 'model_question_refused', status: 400 },
  });
  expect(refused.model.received).toHaveLength(1);
  const tooLong = await start(smallModel({ takes: 0, turns: 1, code: 'context_too_long' }));
  expect(await tooLong.run('agent')).toMatchObject({ error: { reason: 'model_context_exceeded' } });
  expect(tooLong.model.received).toHaveLength(1);
});

test('a conversation is shortened from its beginning, results first, never a result without its call', () => {
  const opening: ChatMessage[] = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Read all.' },
  ];
  const turns = Array.from({ length: 20 }, (_, index): ChatMessage[] => [
    {
      role: 'assistant',
      content: 'word '.repeat(200),
      tool_calls: [{ id: `c${index}`, type: 'function', function: { name: 'read', arguments: '{}' } }],
    },
    { role: 'tool', tool_call_id: `c${index}`, content: 'y'.repeat(4000) },
  ]);
  const whole = [...opening, ...turns.flat()];
  for (const maxTokens of [2000, 5000, 10_000, 20_000]) {
    const fitted = fitConversation(whole, { maxTokens, openingLength: 2 });
    expect(fitted.slice(0, 2)).toEqual(opening);
    expect(fitted.slice(-2)).toEqual(turns.at(-1));
    const total = fitted.reduce((sum, each) => sum + estimateTokens(each), 0);
    expect(total).toBeLessThanOrEqual(Math.max(maxTokens, 1400));
    const called = new Set(
      fitted.flatMap(each => (each.role === 'assistant' ? (each.tool_calls ?? []).map(({ id }) => id) : [])),
    );
    const answered = fitted.flatMap(each => (each.role === 'tool' ? [each.tool_call_id] : []));
    expect(new Set(answered)).toEqual(called);
  }
  expect(fitConversation(whole, { maxTokens: 1_000_000, openingLength: 2 })).toBe(whole);
});
