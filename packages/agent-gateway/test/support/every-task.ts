import { decisionSignal } from '../../src/domain/approval.ts';
import type { CallResult, Effect } from '../../src/domain/effect.ts';
import { definitionOf } from './gateway.ts';

/** A workflow of two hundred tasks that uses every task type, and the far ends that it meets: what they answer follows from what they are asked. */

const repeatable = { metadata: { gateway: { onInDoubt: 'retry' } } };
const post = (n: string) => ({
  call: 'http',
  with: { method: 'post', endpoint: 'http://far.test/', body: { n } },
});
const effect = (n: string) => ({ ...post(n), ...repeatable });
const raise = { raise: { error: { type: 'https://x.test/e', status: 503, title: 'E' } } };

/** One turn of the loop that makes the many. */
const round = [
  { begin: { set: { n: '${ $round }' } } },
  { ask: effect('${ .n }') },
  { which: { switch: [{ big: { when: '${ .doubled > 1 }', then: 'both' } }, { none: { then: 'exit' } }] } },
  { both: { fork: { branches: [{ left: effect('${ .doubled }') }, { right: { set: { doubled: 1 } } }] } } },
  { inside: { do: [{ one: { set: { n: '${ .[0].doubled }' } } }, { two: { set: { n: '${ .n }' } } }] } },
  { careful: { try: [{ fails: raise }], catch: { do: [{ caught: { set: { n: 3 } } }] } } },
];

const childTasks = [{ sub: effect('${ .n }') }];

const tasks = [
  { rounds: { for: { each: 'round', in: '[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]' }, do: round } },
  { first: { set: { n: 1 } } },
  { both: { fork: { branches: [{ left: effect('${ .n }') }, { right: effect('${ .n }') }] } } },
  {
    race: {
      fork: { compete: true, branches: [{ fast: { set: { pair: '${ . }' } } }, { slow: { wait: 'PT1H' } }] },
    },
  },
  {
    map: {
      for: { each: 'item', in: '.pair' },
      do: [{ again: effect('${ $item.doubled }') }, { keep: { set: { doubled: '${ .doubled }' } } }],
      metadata: { gateway: { concurrency: 2 } },
    },
  },
  {
    saga: {
      try: [
        {
          reserve: {
            ...effect('${ .[0].doubled }'),
            metadata: { gateway: { onInDoubt: 'retry', compensate: effect('${ .input[0].doubled }') } },
          },
        },
        { fails: raise },
      ],
      catch: {
        retry: { delay: { milliseconds: 1 }, limit: { attempt: { count: 1 } } },
        do: [{ caught: { set: { n: '${ .[0].doubled }' } } }],
      },
    },
  },
  {
    tell: { emit: { event: { with: { source: 'https://x.test/', type: 'told', data: { n: '${ .n }' } } } } },
  },
  { hear: { listen: { to: { one: { with: { type: 'told' } } } } } },
  { pause: { wait: { milliseconds: 1 } } },
  { tools: { call: 'mcp', with: { method: 'tools/list' } } },
  {
    tool: {
      call: 'mcp',
      with: { method: 'tools/call', parameters: { name: 'look', arguments: {} } },
    },
  },
  {
    described: {
      call: 'openapi',
      with: {
        document: { endpoint: 'http://far.test/openapi.json' },
        operationId: 'read',
        parameters: {},
      },
    },
  },
  {
    judge: {
      call: 'llm',
      with: {
        model: 'demo',
        input: 'Is it good?',
        outputSchema: { type: 'object', properties: { good: { type: 'boolean' } }, required: ['good'] },
      },
    },
  },
  {
    research: {
      call: 'agent',
      with: { agent: 'researcher', model: 'demo', input: 'Look.', tools: ['*'], maxTurns: 4 },
    },
  },
  { approve: { call: 'human', with: { title: 'Go on?', assignees: ['lead'], deadline: 'P1D' } } },
  { harm: post('7') },
  { sub: { run: { workflow: { namespace: 'test', name: 'child', version: '1.0.0', input: { n: 5 } } } } },
  { last: { set: { result: '${ .doubled }' } } },
];

const around = {
  extend: 'wait',
  before: [{ begun: { set: { n: 0 } } }],
  after: [{ ended: { set: { n: 1 } } }],
};

export const everyTask = definitionOf(tasks, { use: { extensions: [{ around }] } });
export const everyTaskChild = {
  ...definitionOf(childTasks),
  document: { dsl: '1.0.3', namespace: 'test', name: 'child', version: '1.0.0' },
};
export const everyTaskOutput = { result: 10 };

const answered = (content: unknown) => ({ status: 200, isProblem: false, headers: {}, content });
const tool = {
  name: 'look',
  annotations: { readOnlyHint: true },
  inputSchema: { type: 'object', properties: {} },
};

/** What the far end of an effect answers. */
export function answerOf(type: string, request: unknown, key: string): unknown {
  switch (type) {
    case 'http':
      return answered({ doubled: (request as { body: { n: number } }).body.n * 2 });
    case 'openapi':
      return { method: 'GET', uri: 'http://far.test/', headers: {}, answer: answered({ read: true }) };
    case 'mcp':
      return (request as { method: string }).method === 'tools/list'
        ? { tools: [tool] }
        : { content: [{ type: 'text', text: 'seen' }] };
    case 'llm':
      return answerOfModel(request as { tools: unknown[]; messages: { role: string }[] });
    case 'schema':
      return { value: { good: true } };
    case 'human':
      return { approval: `apr_${key}` };
    default:
      throw new Error(`No far end for '${type}'`);
  }
}

function answerOfModel({ tools, messages }: { tools: unknown[]; messages: { role: string }[] }): unknown {
  const isLooking = tools.length > 0 && !messages.some(({ role }) => role === 'tool');
  const wanted = [{ id: 'call-1', type: 'function', function: { name: 'look', arguments: '{}' } }];
  return {
    message: {
      role: 'assistant',
      content: isLooking ? null : '{"good":true}',
      ...(isLooking && { tool_calls: wanted }),
    },
    finishReason: isLooking ? 'tool_calls' : 'stop',
    model: 'demo',
  };
}

export const everyEffect = ['http', 'openapi', 'mcp', 'llm', 'schema', 'human'] as const;

/** What a person who says yes puts into the inbox. */
export function decisionOf(approval: string) {
  const decision = { decision: 'approve', by: 'lead', atMs: 0, comment: '', data: null };
  return { id: approval, name: decisionSignal, data: { approval, decision } };
}

/** Effects that ask `far` for the answer. */
export function effectsTo(
  far: (type: string, request: unknown, of: { runId: string; key: string }) => Promise<unknown>,
): Effect[] {
  return everyEffect.map(type => ({
    type,
    async perform(request, { runId, idempotencyKey }): Promise<CallResult> {
      return { result: await far(type, request, { runId, key: idempotencyKey }), costNanoUsd: 1n };
    },
  }));
}
