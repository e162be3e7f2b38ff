import { describe, expect, test } from 'vitest';
import { useMatrixGateway } from './conformance/matrix-gateway.ts';
import { upstreams } from './conformance/upstreams.ts';
import { mistakesIn } from './conformance/well-formed.ts';
import { post } from './harness.ts';

/** Requests in the order and shape in which coding agents send them, on every upstream. */

const matrix = useMatrixGateway();

const cached = { cache_control: { type: 'ephemeral' } };

const claudeHeaders = () => ({
  authorization: `Bearer ${matrix.gateway.key}`,
  'anthropic-version': '2023-06-01',
  'anthropic-beta':
    'claude-code-20250219,interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14',
  'anthropic-dangerous-direct-browser-access': 'true',
  'user-agent': 'claude-cli/2.0.30 (external, cli)',
  'x-app': 'cli',
  'x-stainless-lang': 'js',
  'x-stainless-retry-count': '0',
  'x-claude-code-session-id': '5f0b1a52-3d0a-4c53-9d18-0f4e7f8c2a11',
});

const claudeTools = [
  {
    name: 'Read',
    description: 'Reads a file.',
    input_schema: {
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      properties: { file_path: { type: 'string' }, limit: { type: 'number' } },
      required: ['file_path'],
      additionalProperties: false,
    },
  },
  {
    name: 'mcp__a_server_with_a_rather_long_name__a_tool_whose_name_is_longer_than_openai_takes',
    description: 'Has a long name.',
    input_schema: { type: 'object', properties: { x: { type: 'string' } } },
    ...cached,
  },
];

const claudeBody = (model: string, messages: unknown[]) => ({
  model,
  messages,
  system: [
    { type: 'text', text: 'You are Claude Code, the CLI for Claude.', ...cached },
    { type: 'text', text: 'Be brief.' },
  ],
  tools: claudeTools,
  metadata: { user_id: 'user_1_account__session_5f0b1a52' },
  max_tokens: 32_000,
  thinking: { type: 'enabled', budget_tokens: 31_999 },
  stream: true,
});

interface Block {
  readonly type: string;
  readonly id?: string;
  readonly name?: string;
  json?: string;
  text?: string;
  thinking?: string;
  signature?: string;
}

/** The blocks of an Anthropic stream, as a client adds them up. */
function blocksOf(body: Buffer): Block[] {
  const blocks: Block[] = [];
  for (const line of body.toString().split('\n')) {
    if (!line.startsWith('data: ')) continue;
    const event = JSON.parse(line.slice(6));
    if (event.type === 'content_block_start') blocks.push({ ...event.content_block });
    const block = blocks.at(-1);
    if (event.type !== 'content_block_delta' || block === undefined) continue;
    const { text, thinking, signature, partial_json } = event.delta;
    if (text !== undefined) block.text += text;
    if (thinking !== undefined) block.thinking += thinking;
    if (signature !== undefined) block.signature = signature;
    if (partial_json !== undefined) block.json = (block.json ?? '') + partial_json;
  }
  return blocks;
}

const longCached = { cache_control: { type: 'ephemeral', ttl: '1h' } };
const pixel =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const claudeUser = JSON.stringify({
  device_id: 'd1',
  account_uuid: '',
  session_id: '5f0b1a52-3d0a-4c53-9d18-0f4e7f8c2a11',
});

const newerClaudeHeaders = () => ({
  ...claudeHeaders(),
  'anthropic-beta':
    'claude-code-20250219,adaptive-thinking-2026-01-28,interleaved-thinking-2025-05-14,context-management-2025-06-27,prompt-caching-scope-2026-01-05,effort-2025-11-24',
  'user-agent': 'claude-cli/2.1.80 (external, cli)',
  'x-stainless-timeout': '600',
});

const codexSession = '5f0b1a52-3d0a-4c53-9d18-0f4e7f8c2a11';
const newerCodexHeaders = {
  originator: 'codex_exec',
  session_id: codexSession,
  conversation_id: codexSession,
  version: '0.98.0',
  'x-codex-turn-metadata': '{"turn_id":"1"}',
  'x-codex-beta-features': 'apps',
  'user-agent': 'codex_exec/0.98.0 (Linux; x86_64)',
  accept: 'text/event-stream',
};

/** A block as the client sends it back. */
function asSentBack({ json, ...block }: Block): object {
  return { ...block, ...(block.type === 'tool_use' && { input: JSON.parse(json ?? '{}') as unknown }) };
}

describe.each(upstreams.map(({ name }) => name))('on %s', name => {
  const model = `${name}-thinking`;

  test('like Claude Code: count_tokens, a turn with tools, their results, the next turn', async () => {
    const prompt =
      '[[think: I must look.]][[tools: Read {"file_path":"/a"} ; mcp__a_server {"x":"1"}]] [[say: Done: {{result}}]]';
    const first = { role: 'user', content: [{ type: 'text', text: prompt, ...cached }] };
    const { stream, max_tokens, metadata, ...counted } = claudeBody(model, [first]);
    const count = await post(matrix.gateway, '/v1/messages/count_tokens?beta=true', counted, claudeHeaders());
    expect(count.status).toBe(200);
    expect(JSON.parse(count.body.toString()).input_tokens).toBeGreaterThan(10);

    const turn = await post(
      matrix.gateway,
      '/v1/messages?beta=true',
      claudeBody(model, [first]),
      claudeHeaders(),
    );
    expect(turn.status, turn.body.toString()).toBe(200);
    expect(mistakesIn['anthropic-messages']?.(turn.body, 'terminal')).toEqual([]);
    const blocks = blocksOf(turn.body);
    const uses = blocks.filter(block => block.type === 'tool_use');
    expect(uses.map(use => use.name)).toEqual([claudeTools[0]?.name, claudeTools[1]?.name]);
    expect(uses.map(use => use.json)).toEqual(['{"file_path":"/a"}', '{"x":"1"}']);

    const assistant = blocks.map(asSentBack);
    const results = uses.map(({ id }, index) => ({
      type: 'tool_result',
      tool_use_id: id,
      content: [{ type: 'text', text: `content ${index}` }],
      ...(index === 1 && cached),
    }));
    const next = await post(
      matrix.gateway,
      '/v1/messages?beta=true',
      claudeBody(model, [
        first,
        { role: 'assistant', content: assistant },
        { role: 'user', content: results },
      ]),
      claudeHeaders(),
    );
    expect(next.status, next.body.toString()).toBe(200);
    const said = blocksOf(next.body).flatMap(block => (block.type === 'text' ? [block.text] : []));
    expect(said.join('')).toContain('Done: content');
    const passed = matrix.simulator.requests.at(-1)?.headers ?? {};
    expect(passed['x-claude-code-session-id']).toBeUndefined();
    expect(passed['anthropic-beta'] !== undefined).toBe(name === 'anthropic-messages');
  });

  test('like Codex: the Responses wire without store, a function and a custom tool', async () => {
    const codex = (input: unknown[]) => ({
      model,
      instructions: 'You are Codex, based on GPT-5.',
      input,
      tools: [
        {
          type: 'function',
          name: 'shell',
          description: 'Runs a command.',
          strict: false,
          parameters: { type: 'object', properties: { command: { type: 'string' } }, required: ['command'] },
        },
        {
          type: 'custom',
          name: 'apply_patch',
          description: 'Changes files.',
          format: { type: 'grammar', syntax: 'lark', definition: 'start: /.+/' },
        },
      ],
      tool_choice: 'auto',
      parallel_tool_calls: false,
      reasoning: { effort: 'medium', summary: 'auto' },
      store: false,
      stream: true,
      include: ['reasoning.encrypted_content'],
      prompt_cache_key: '5f0b1a52-3d0a-4c53-9d18-0f4e7f8c2a11',
    });
    const headers = {
      originator: 'codex_cli_rs',
      session_id: '5f0b1a52-3d0a-4c53-9d18-0f4e7f8c2a11',
      'openai-beta': 'responses=experimental',
      'user-agent': 'codex_cli_rs/0.60.0',
      accept: 'text/event-stream',
    };
    const prompt =
      '[[think: A command, then a patch.]][[tool: shell {"command":"ls"}]] [[tool: apply_patch {"input":"*** Begin Patch"}]] [[say: All done.]]';
    const input: unknown[] = [
      { type: 'message', role: 'developer', content: [{ type: 'input_text', text: '<permissions/>' }] },
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: prompt }] },
    ];
    const turn = async () => {
      const answer = await post(matrix.gateway, '/v1/responses', codex(input), headers);
      expect(answer.status, answer.body.toString()).toBe(200);
      expect(mistakesIn['openai-responses']?.(answer.body, 'terminal')).toEqual([]);
      const line = answer.body
        .toString()
        .split('\n')
        .findLast(each => each.startsWith('data: '));
      const { output } = JSON.parse(line?.slice(6) ?? '{}').response;
      input.push(...output);
      return output as readonly { type: string; call_id: string; name: string; input: string }[];
    };
    const [shell] = (await turn()).filter(item => item.type === 'function_call');
    expect(shell?.name).toBe('shell');
    input.push({ type: 'function_call_output', call_id: shell?.call_id, output: 'README.md' });
    const [patch] = (await turn()).filter(item => item.type === 'custom_tool_call');
    expect(patch?.name).toBe('apply_patch');
    expect(patch?.input).toContain('*** Begin Patch');
    input.push({ type: 'custom_tool_call_output', call_id: patch?.call_id, output: 'ok' });
    const last = await turn();
    expect(JSON.stringify(last)).toContain('All done.');
  });

  test('like a newer Claude Code: a probe, a title, adaptive thinking, edits of the context, results that failed', async () => {
    const probe = await post(
      matrix.gateway,
      '/v1/messages?beta=true',
      {
        model: name,
        max_tokens: 1,
        messages: [{ role: 'user', content: 'quota' }],
        metadata: { user_id: claudeUser },
      },
      newerClaudeHeaders(),
    );
    expect(probe.status, probe.body.toString()).toBe(200);

    const title = await post(
      matrix.gateway,
      '/v1/messages?beta=true',
      {
        model: name,
        max_tokens: 32_000,
        stream: true,
        temperature: 1,
        system: [{ type: 'text', text: 'Write a title.' }],
        messages: [{ role: 'user', content: [{ type: 'text', text: '[[json: {"title":"A bug"}]]' }] }],
        output_config: {
          format: {
            type: 'json_schema',
            schema: {
              type: 'object',
              properties: { title: { type: 'string' } },
              required: ['title'],
              additionalProperties: false,
            },
          },
        },
        metadata: { user_id: claudeUser },
      },
      newerClaudeHeaders(),
    );
    expect(title.status, title.body.toString()).toBe(200);
    expect(blocksOf(title.body).find(block => block.type === 'text')?.text).toBe('{"title":"A bug"}');

    const prompt =
      '[[think: I must look.]][[tools: Read {"file_path":"/a"} ; Read {"file_path":"/b"}]] [[say: Done: {{result}}]]';
    const messages: unknown[] = [
      {
        role: 'user',
        content: [
          { type: 'text', text: '<system-reminder>x</system-reminder>' },
          { type: 'text', text: prompt, ...longCached },
        ],
      },
    ];
    const { thinking, ...body } = claudeBody(model, messages);
    const newer = {
      ...body,
      thinking: { type: 'adaptive' },
      output_config: { effort: 'medium' },
      context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
      metadata: { user_id: claudeUser },
    };
    const turn = await post(matrix.gateway, '/v1/messages?beta=true', newer, newerClaudeHeaders());
    expect(turn.status, turn.body.toString()).toBe(200);
    expect(mistakesIn['anthropic-messages']?.(turn.body, 'terminal')).toEqual([]);
    const blocks = blocksOf(turn.body);
    const uses = blocks.filter(block => block.type === 'tool_use');
    expect(uses.map(use => use.json)).toEqual(['{"file_path":"/a"}', '{"file_path":"/b"}']);
    messages.push(
      { role: 'assistant', content: blocks.map(asSentBack) },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: uses[0]?.id, is_error: true, content: 'No such file' },
          {
            type: 'tool_result',
            tool_use_id: uses[1]?.id,
            content: [
              { type: 'text', text: 'a picture' },
              { type: 'image', source: { type: 'base64', media_type: 'image/png', data: pixel } },
            ],
            ...longCached,
          },
        ],
      },
    );
    const next = await post(matrix.gateway, '/v1/messages?beta=true', newer, newerClaudeHeaders());
    expect(next.status, next.body.toString()).toBe(200);
    const said = blocksOf(next.body).flatMap(block => (block.type === 'text' ? [block.text] : []));
    // There the picture follows in words of the user, which the simulator then answers.
    const answer = name === 'openai-chat' ? /^You said: Of the result/ : /^Done: .*No such file.*a picture/s;
    expect(said.join('')).toMatch(answer);
  });

  test('like a newer Codex: sealed reasoning without content, a search of the vendor, results in parts', async () => {
    const input: unknown[] = [
      { type: 'message', role: 'developer', content: [{ type: 'input_text', text: '<permissions/>' }] },
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: '<environment_context/>' }] },
      {
        type: 'message',
        role: 'user',
        content: [
          {
            type: 'input_text',
            text: '[[think: A command.]][[tool: exec_command {"cmd":"ls"}]] [[say: All done: {{result}}]]',
          },
        ],
      },
    ];
    const body = () => ({
      model,
      instructions: 'You are Codex.',
      input,
      tools: [
        {
          type: 'function',
          name: 'exec_command',
          description: 'Runs a command.',
          strict: false,
          parameters: {
            type: 'object',
            properties: { cmd: { type: 'string' }, yield_time_ms: { type: 'number' } },
            required: ['cmd'],
            additionalProperties: false,
          },
        },
        { type: 'web_search', external_web_access: false },
      ],
      tool_choice: 'auto',
      parallel_tool_calls: true,
      reasoning: { effort: 'medium', summary: 'auto' },
      text: { verbosity: 'low' },
      store: false,
      stream: true,
      include: ['reasoning.encrypted_content'],
      prompt_cache_key: codexSession,
      client_metadata: { session: codexSession },
    });
    const turn = async () => {
      const answer = await post(matrix.gateway, '/v1/responses', body(), newerCodexHeaders);
      expect(answer.status, answer.body.toString()).toBe(200);
      expect(mistakesIn['openai-responses']?.(answer.body, 'terminal')).toEqual([]);
      const isOwn = name === 'openai-responses';
      // What the vendor alone can do is left out and told.
      if (!isOwn) expect(String(answer.headers['x-strata-changed'])).toMatch(/tools/);
      const line = answer.body
        .toString()
        .split('\n')
        .findLast(each => each.startsWith('data: '));
      const { output } = JSON.parse(line?.slice(6) ?? '{}').response;
      for (const item of output) {
        const { id, status, ...rest } = item; // Codex sends neither back
        input.push(item.type === 'reasoning' ? { ...rest, content: null } : rest);
      }
      return output as readonly { type: string; call_id: string; name: string; arguments: string }[];
    };
    const [call] = (await turn()).filter(item => item.type === 'function_call');
    expect([call?.name, call?.arguments]).toEqual(['exec_command', '{"cmd":"ls"}']);
    input.push({
      type: 'function_call_output',
      call_id: call?.call_id,
      output: [{ type: 'input_text', text: 'README.md' }],
    });
    expect(JSON.stringify(await turn())).toContain('All done: README.md');
    const passed = matrix.simulator.requests.at(-1)?.headers ?? {};
    expect(passed.session_id).toBeUndefined();
    expect(passed['x-codex-turn-metadata']).toBeUndefined();
  });

  test('like Gemini CLI: it thinks at the temperature 0, and lets every token through', async () => {
    const body = {
      contents: [{ role: 'user', parts: [{ text: 'Good morning' }] }],
      systemInstruction: { role: 'user', parts: [{ text: 'You are an agent.' }] },
      tools: [
        {
          functionDeclarations: [
            {
              name: 'read_file',
              description: 'Reads.',
              parametersJsonSchema: { type: 'object', properties: {} },
            },
          ],
        },
      ],
      generationConfig: {
        ...{ temperature: 0, topP: 1, topK: 64 },
        thinkingConfig: { includeThoughts: true, thinkingBudget: 8192 },
      },
    };
    const headers = {
      'x-goog-api-key': matrix.gateway.key,
      'user-agent': 'GeminiCLI/0.20.0/my-model (linux; x64)',
    };
    const path = `/v1beta/models/${model}:streamGenerateContent?alt=sse`;
    const answer = await post(matrix.gateway, path, body, headers);
    expect(answer.status, answer.body.toString()).toBe(200);
    expect(mistakesIn.gemini?.(answer.body, 'terminal')).toEqual([]);
  });
});
