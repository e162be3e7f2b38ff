import { type Addition, behind, canary, member, optioned, schema } from './additions.ts';

const block = (...content: unknown[]) => ({ role: 'user', content });
const messagesTool = (more: object) => ({ name: 'f', input_schema: schema, ...more });
const use = { type: 'tool_use', id: 'toolu_1', name: 'f', input: {} };

export const messages: readonly Addition[] = [
  member('cache_control', { type: 'ephemeral', ttl: '1h' }),
  member('container', canary),
  member('context_management', { edits: [{ type: canary }] }),
  member('diagnostics', { a: canary }),
  member('inference_geo', canary),
  member('mcp_servers', [{ type: 'url', name: canary, url: 'https://e.com' }]),
  member('max_tokens', 77),
  member('metadata', { user_id: canary }),
  member('metadata', { vendors_own: canary }),
  member('output_config', { effort: 'high' }),
  member('output_config', { effort: 'max' }),
  member('output_config', { task_budget: { type: 'tokens', total: 7 } }),
  member('output_config', { format: { type: 'json_schema', schema: { ...schema, title: canary } } }),
  member('output_format', { type: 'json_schema', schema: { ...schema, title: canary } }),
  member('service_tier', 'standard_only'),
  member('speed', 'fast'),
  member('stop_sequences', [canary]),
  member('system', canary),
  member('system', [{ type: 'text', text: canary }]),
  member('temperature', 0.7),
  member('top_k', 7),
  member('top_p', 0.7),
  member('thinking', { type: 'enabled', budget_tokens: 2000 }),
  member('thinking', { type: 'adaptive' }),
  member('thinking', { type: 'adaptive', display: 'omitted' }),
  member('thinking', { type: 'between_tools' }),
  member('tool_choice', { type: 'any' }),
  member('tool_choice', { type: 'none' }),
  member('tool_choice', { type: 'auto', disable_parallel_tool_use: true }),
  member('tool_choice', { type: 'tool', name: 'get' }),
  member('tool_choice', { type: 'vendors_own', name: canary }),
  member('user_profile_id', canary),
  optioned('a function', messagesTool, { description: canary }),
  optioned('strict', messagesTool, { strict: true }),
  optioned('input_examples', messagesTool, { input_examples: [{ city: canary }] }),
  optioned('defer_loading', messagesTool, { defer_loading: true }),
  optioned('eager_input_streaming', messagesTool, { eager_input_streaming: true }),
  optioned('allowed_callers', messagesTool, { allowed_callers: ['code_execution_20260120'] }),
  behind('tools', 'web search', {
    type: 'web_search_20250305',
    name: 'web_search',
    allowed_domains: [canary],
  }),
  behind('tools', 'computer use', { type: 'computer_20250124', name: canary, display_width_px: 1 }),
  behind('messages', 'a text', block({ type: 'text', text: canary })),
  behind('messages', 'system', { role: 'system', content: canary }),
  behind(
    'messages',
    'citations',
    {
      role: 'assistant',
      content: [
        {
          type: 'text',
          text: 'a',
          citations: [
            {
              type: 'char_location',
              cited_text: canary,
              document_index: 0,
              document_title: null,
              start_char_index: 0,
              end_char_index: 1,
            },
          ],
        },
      ],
    },
    block({ type: 'text', text: 'y' }),
  ),
  behind(
    'messages',
    'an image',
    block({ type: 'image', source: { type: 'url', url: `https://e.com/${canary}.png` } }),
  ),
  behind(
    'messages',
    'transformations',
    block({
      type: 'image',
      transformations: { a: canary },
      source: { type: 'base64', media_type: 'image/png', data: 'QUJD' },
    }),
  ),
  behind('messages', 'a kept image', block({ type: 'image', source: { type: 'file', file_id: canary } })),
  behind(
    'messages',
    'a document',
    block({ type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: canary } }),
  ),
  behind(
    'messages',
    'a text document',
    block({ type: 'document', source: { type: 'text', media_type: 'text/plain', data: canary } }),
  ),
  behind(
    'messages',
    'a document of parts',
    block({ type: 'document', source: { type: 'content', content: [{ type: 'text', text: canary }] } }),
  ),
  behind(
    'messages',
    'a document by address',
    block({ type: 'document', source: { type: 'url', url: `https://e.com/${canary}.pdf` } }),
  ),
  behind(
    'messages',
    'the title of a document',
    block({
      type: 'document',
      title: canary,
      source: { type: 'base64', media_type: 'application/pdf', data: 'QUJD' },
    }),
  ),
  behind(
    'messages',
    'the title of a text',
    block({
      type: 'document',
      title: canary,
      source: { type: 'text', media_type: 'text/plain', data: 'abc' },
    }),
  ),
  behind(
    'messages',
    'the context of a document',
    block({
      type: 'document',
      context: canary,
      source: { type: 'text', media_type: 'text/plain', data: 'abc' },
    }),
  ),
  behind(
    'messages',
    'a cited document',
    block({
      type: 'document',
      citations: { enabled: true },
      source: { type: 'text', media_type: 'text/plain', data: 'abc' },
    }),
  ),
  behind(
    'messages',
    'a search result',
    block({ type: 'search_result', source: 's', title: 't', content: [{ type: 'text', text: canary }] }),
  ),
  behind('messages', 'a container upload', block({ type: 'container_upload', file_id: canary })),
  behind(
    'messages',
    'thinking',
    {
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: canary, signature: 's' },
        { type: 'text', text: 'a' },
      ],
    },
    block({ type: 'text', text: 'y' }),
  ),
  behind(
    'messages',
    'a tool of the server',
    { role: 'assistant', content: [{ type: 'server_tool_use', id: canary, name: 'web_search', input: {} }] },
    block({ type: 'text', text: 'y' }),
  ),
  behind(
    'messages',
    'a tool of MCP',
    {
      role: 'assistant',
      content: [{ type: 'mcp_tool_use', id: 'm1', name: canary, server_name: 's', input: {} }],
    },
    block({ type: 'text', text: 'y' }),
  ),
  behind(
    'messages',
    'a result',
    { role: 'assistant', content: [use] },
    block({ type: 'tool_result', tool_use_id: 'toolu_1', content: canary }),
  ),
  behind(
    'messages',
    'a failure',
    { role: 'assistant', content: [use] },
    block({ type: 'tool_result', tool_use_id: 'toolu_1', content: canary, is_error: true }),
  ),
  behind(
    'messages',
    'an image in a result',
    { role: 'assistant', content: [use] },
    block({
      type: 'tool_result',
      tool_use_id: 'toolu_1',
      content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: canary } }],
    }),
  ),
  behind(
    'messages',
    'a search result in a result',
    { role: 'assistant', content: [use] },
    block({
      type: 'tool_result',
      tool_use_id: 'toolu_1',
      content: [
        { type: 'search_result', source: 's', title: 't', content: [{ type: 'text', text: canary }] },
      ],
    }),
  ),
  behind(
    'messages',
    'a reference in a result',
    { role: 'assistant', content: [use] },
    block({
      type: 'tool_result',
      tool_use_id: 'toolu_1',
      content: [{ type: 'tool_reference', tool_name: canary }],
    }),
  ),
  behind(
    'messages',
    'who called',
    {
      role: 'assistant',
      content: [{ ...use, caller: { type: 'code_execution_20260120', tool_id: canary } }],
    },
    block({ type: 'tool_result', tool_use_id: 'toolu_1', content: 'r' }),
  ),
];
