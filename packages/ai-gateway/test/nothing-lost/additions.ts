type Json = Record<string, unknown>;

/**
 * One thing more that a client can say. `canary` stands in it once and must be in what the upstream is sent; without one, what the upstream is
 * sent must be another than before. Or else the addition must be reported.
 */
export interface Addition {
  readonly name: string;
  add(body: Json): Json;
  readonly canary?: string;
  /** The request without it, where that is not the least one. */
  without?(body: Json): Json;
}

export const canary = 'canary7f3a';
const schema = { type: 'object', properties: { city: { type: 'string' } } };

/** Members at the top. */
function member(name: string, value: unknown): Addition {
  return { name, add: body => ({ ...body, [name]: value }), ...canaryIn(value) };
}

function canaryIn(value: unknown): { canary?: string } {
  return JSON.stringify(value).includes(canary) ? { canary } : {};
}

/** Members of an object at the top. */
function inside(object: string, name: string, value: unknown): Addition {
  return {
    name: `${object}.${name}`,
    add: body => ({ ...body, [object]: { ...(body[object] as Json | undefined), [name]: value } }),
    ...canaryIn(value),
  };
}

/** Elements behind those of a list at the top. */
function behind(list: string, name: string, ...values: unknown[]): Addition {
  return {
    name: `${list}: ${name}`,
    add: body => ({ ...body, [list]: [...((body[list] ?? []) as unknown[]), ...values] }),
    ...canaryIn(values),
  };
}

/** A tool with an option, beside the same tool without. */
function optioned(name: string, tool: (more: object) => object, option: object): Addition {
  const withTool = (body: Json, each: object) => ({ ...body, tools: [...(body.tools as unknown[]), each] });
  return {
    name: `tools: ${name}`,
    add: body => withTool(body, tool(option)),
    without: body => withTool(body, tool({})),
    ...canaryIn(option),
  };
}

const chatUser = (...content: unknown[]) => ({ role: 'user', content });
const chatTool = (more: object) => ({
  type: 'function',
  function: { name: 'f', parameters: schema, ...more },
});
const chatCall = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } };

const chat: readonly Addition[] = [
  member('audio', { voice: canary, format: 'wav' }),
  member('frequency_penalty', 0.5),
  member('function_call', { name: canary }),
  member('functions', [{ name: canary, parameters: schema }]),
  member('logit_bias', { 7: 1 }),
  member('logprobs', true),
  member('top_logprobs', 3),
  member('max_completion_tokens', 77),
  member('max_tokens', 77),
  member('metadata', { a: canary }),
  member('modalities', ['text', 'audio']),
  member('moderation', { model: canary }),
  member('n', 2),
  member('parallel_tool_calls', false),
  member('prediction', { type: 'content', content: canary }),
  member('presence_penalty', 0.5),
  member('prompt_cache_key', canary),
  member('prompt_cache_options', { mode: canary }),
  member('prompt_cache_retention', '24h'),
  member('reasoning_effort', 'high'),
  member('reasoning_effort', 'minimal'),
  member('reasoning_effort', 'none'),
  member('safety_identifier', canary),
  member('seed', 7),
  member('service_tier', 'flex'),
  member('stop', canary),
  member('stop', ['a', 'b', 'c', canary]),
  member('store', true),
  member('temperature', 0.7),
  member('top_p', 0.7),
  member('top_k', 7),
  member('user', canary),
  member('verbosity', 'low'),
  member('web_search_options', { search_context_size: canary }),
  member('response_format', { type: 'json_object' }),
  member('response_format', { type: 'json_schema', json_schema: { name: 'n', schema, description: canary } }),
  member('response_format', { type: 'grammar', grammar: canary }),
  member('tool_choice', 'required'),
  member('tool_choice', 'none'),
  member('tool_choice', { type: 'function', function: { name: 'get' } }),
  member('tool_choice', {
    type: 'allowed_tools',
    allowed_tools: { mode: 'required', tools: [{ type: 'function', function: { name: 'get' } }] },
  }),
  member('tool_choice', { type: 'vendors_own', vendors_own: canary }),
  member('stream_options', { include_usage: true, vendors_own: canary }),
  optioned('a function', chatTool, { description: canary }),
  optioned('strict', chatTool, { strict: true }),
  behind('tools', 'a custom tool', { type: 'custom', custom: { name: 'g', description: canary } }),
  behind('tools', 'a tool of the vendor', { type: canary }),
  optioned('a member of the vendor', chatTool, { vendors_own: canary }),
  behind('messages', 'a name', { role: 'user', content: 'x', name: canary }),
  behind('messages', 'a text', chatUser({ type: 'text', text: canary })),
  behind('messages', 'system', { role: 'system', content: canary }),
  behind('messages', 'developer', { role: 'developer', content: [{ type: 'text', text: canary }] }),
  behind('messages', 'an image for the system', {
    role: 'system',
    content: [{ type: 'image_url', image_url: { url: `https://e.com/${canary}.png` } }],
  }),
  behind(
    'messages',
    'an image',
    chatUser({ type: 'image_url', image_url: { url: `https://e.com/${canary}.png` } }),
  ),
  behind(
    'messages',
    'the detail of an image',
    chatUser({ type: 'image_url', image_url: { url: 'https://e.com/a.png', detail: canary } }),
  ),
  behind(
    'messages',
    'sound',
    chatUser({ type: 'input_audio', input_audio: { data: canary, format: 'mp3' } }),
  ),
  behind(
    'messages',
    'a file',
    chatUser({
      type: 'file',
      file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${canary}` },
    }),
  ),
  behind(
    'messages',
    'the name of a file',
    chatUser({
      type: 'file',
      file: { filename: `${canary}.pdf`, file_data: 'data:application/pdf;base64,QUJD' },
    }),
  ),
  behind(
    'messages',
    'the name of a text file',
    chatUser({ type: 'file', file: { filename: `${canary}.txt`, file_data: 'data:text/plain;base64,QUJD' } }),
  ),
  behind('messages', 'a kept file', chatUser({ type: 'file', file: { file_id: canary } })),
  behind('messages', 'a part of the vendor', chatUser({ type: 'video_url', video_url: { url: canary } })),
  behind(
    'messages',
    'a refusal',
    { role: 'assistant', content: null, refusal: canary },
    chatUser({ type: 'text', text: 'y' }),
  ),
  behind(
    'messages',
    'sound of before',
    { role: 'assistant', audio: { id: canary } },
    chatUser({ type: 'text', text: 'y' }),
  ),
  behind(
    'messages',
    'reasoning',
    { role: 'assistant', content: 'a', reasoning_content: canary },
    chatUser({ type: 'text', text: 'y' }),
  ),
  behind(
    'messages',
    'a call and its result',
    { role: 'assistant', content: null, tool_calls: [chatCall] },
    { role: 'tool', tool_call_id: 'c1', content: canary },
  ),
  behind(
    'messages',
    'a result that is a part of the vendor',
    { role: 'assistant', content: null, tool_calls: [chatCall] },
    { role: 'tool', tool_call_id: 'c1', content: [{ type: 'vendors_own', text: canary }] },
  ),
  behind(
    'messages',
    'a call of old',
    { role: 'assistant', content: null, function_call: { name: 'f', arguments: `{"a":"${canary}"}` } },
    { role: 'function', name: 'f', content: 'r' },
  ),
  behind(
    'messages',
    'a result of old',
    { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } },
    { role: 'function', name: 'f', content: canary },
  ),
  behind('messages', 'a member of the vendor', { role: 'user', content: 'x', vendors_own: canary }),
];

const item = (...content: unknown[]) => ({ role: 'user', content });
const responsesTool = (more: object) => ({
  type: 'function',
  name: 'f',
  parameters: schema,
  strict: false,
  ...more,
});

const responses: readonly Addition[] = [
  member('access_programs', { a: canary }),
  member('context_management', [{ type: canary }]),
  member('include', ['message.output_text.logprobs']),
  member('instructions', canary),
  member('image', { a: canary }),
  member('max_output_tokens', 77),
  member('max_tool_calls', 7),
  member('metadata', { a: canary }),
  member('moderation', { model: canary }),
  member('parallel_tool_calls', false),
  member('prompt', { id: canary }),
  member('prompt_cache_key', canary),
  member('prompt_cache_options', { mode: canary }),
  member('prompt_cache_retention', '24h'),
  member('reasoning', { effort: 'high' }),
  member('reasoning', { effort: 'medium', summary: 'detailed' }),
  member('reasoning', { context: 'all_turns' }),
  member('reasoning', { mode: 'pro' }),
  member('reasoning', { generate_summary: 'concise' }),
  member('safety_identifier', canary),
  member('service_tier', 'flex'),
  member('temperature', 0.7),
  member('text', { verbosity: 'low' }),
  member('text', { format: { type: 'json_object' } }),
  member('text', { format: { type: 'json_schema', name: 'n', schema, description: canary } }),
  member('text', { format: { type: 'grammar', grammar: canary } }),
  member('text', { vendors_own: canary }),
  member('tool_choice', 'required'),
  member('tool_choice', 'none'),
  member('tool_choice', { type: 'function', name: 'get' }),
  member('tool_choice', { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'get' }] }),
  member('tool_choice', { type: 'mcp', server_label: canary }),
  member('tool_choice', { type: 'web_search_preview' }),
  member('top_logprobs', 3),
  member('top_p', 0.7),
  member('truncation', 'auto'),
  member('user', canary),
  optioned('a function', responsesTool, { description: canary }),
  optioned('strict', responsesTool, { strict: true }),
  optioned('output_schema', responsesTool, { output_schema: { title: canary } }),
  optioned('defer_loading', responsesTool, { defer_loading: true }),
  optioned('allowed_callers', responsesTool, { allowed_callers: ['programmatic'] }),
  behind('tools', 'a custom tool', { type: 'custom', name: 'g', description: canary }),
  behind('tools', 'mcp', { type: 'mcp', server_label: canary, server_url: 'https://e.com' }),
  behind('tools', 'web search', { type: 'web_search', user_location: { city: canary } }),
  behind('input', 'a text', item({ type: 'input_text', text: canary })),
  behind('input', 'system', { role: 'system', content: canary }),
  behind('input', 'developer', { role: 'developer', content: [{ type: 'input_text', text: canary }] }),
  behind(
    'input',
    'a phase',
    { role: 'assistant', content: 'a', phase: 'commentary' },
    item({ type: 'input_text', text: 'y' }),
  ),
  behind(
    'input',
    'an image',
    item({ type: 'input_image', detail: 'auto', image_url: `https://e.com/${canary}.png` }),
  ),
  behind(
    'input',
    'the detail of an image',
    item({ type: 'input_image', image_url: 'https://e.com/a.png', detail: canary }),
  ),
  behind('input', 'a kept image', item({ type: 'input_image', detail: 'auto', file_id: canary })),
  behind(
    'input',
    'a file',
    item({ type: 'input_file', filename: 'a.pdf', file_data: `data:application/pdf;base64,${canary}` }),
  ),
  behind('input', 'a file by address', item({ type: 'input_file', file_url: `https://e.com/${canary}.pdf` })),
  behind(
    'input',
    'the detail of a file',
    item({ type: 'input_file', file_url: 'https://e.com/a.pdf', detail: 'high' }),
  ),
  behind('input', 'a kept file', item({ type: 'input_file', file_id: canary })),
  behind('input', 'sound', item({ type: 'input_audio', input_audio: { data: canary, format: 'mp3' } })),
  behind('input', 'a part of the vendor', item({ type: canary })),
  behind(
    'input',
    'a refusal',
    { role: 'assistant', type: 'message', content: [{ type: 'refusal', refusal: canary }] },
    item({ type: 'input_text', text: 'y' }),
  ),
  behind(
    'input',
    'annotations',
    {
      role: 'assistant',
      type: 'message',
      content: [
        {
          type: 'output_text',
          text: 'a',
          annotations: [{ type: 'url_citation', url: canary, title: 't', start_index: 0, end_index: 1 }],
        },
      ],
    },
    item({ type: 'input_text', text: 'y' }),
  ),
  behind(
    'input',
    'reasoning',
    { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: canary }] },
    { role: 'assistant', content: 'a' },
    item({ type: 'input_text', text: 'y' }),
  ),
  behind(
    'input',
    'a call and its result',
    { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{}' },
    { type: 'function_call_output', call_id: 'c1', output: canary },
  ),
  behind(
    'input',
    'the namespace of a call',
    { type: 'function_call', call_id: 'c1', name: 'f', namespace: canary, arguments: '{}' },
    { type: 'function_call_output', call_id: 'c1', output: 'r' },
  ),
  behind(
    'input',
    'a result that is a part of the vendor',
    { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{}' },
    { type: 'function_call_output', call_id: 'c1', output: [{ type: canary }] },
  ),
  behind('input', 'a reference', { type: 'item_reference', id: canary }),
  behind('input', 'compaction', { type: 'compaction', encrypted_content: canary }),
  behind('input', 'web search', {
    type: 'web_search_call',
    id: canary,
    status: 'completed',
    action: { type: 'search' },
  }),
  behind('input', 'computer use', {
    type: 'computer_call_output',
    call_id: canary,
    output: { type: 'computer_screenshot' },
  }),
];

const block = (...content: unknown[]) => ({ role: 'user', content });
const messagesTool = (more: object) => ({ name: 'f', input_schema: schema, ...more });
const use = { type: 'tool_use', id: 'toolu_1', name: 'f', input: {} };

const messages: readonly Addition[] = [
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

const turn = (...parts: unknown[]) => ({ role: 'user', parts });
const declared = (more: object) => ({
  functionDeclarations: [{ name: 'f', parameters: { type: 'OBJECT', properties: {} }, ...more }],
});

const gemini: readonly Addition[] = [
  member('cachedContent', canary),
  member('labels', { a: canary }),
  member('safetySettings', [{ category: canary, threshold: 'BLOCK_NONE' }]),
  member('serviceTier', 'flex'),
  member('store', true),
  member('systemInstruction', { parts: [{ text: canary }] }),
  member('system_instruction', { parts: [{ text: canary }] }),
  member('systemInstruction', { parts: [{ inlineData: { mimeType: 'image/png', data: canary } }] }),
  inside('generationConfig', 'candidateCount', 2),
  inside('generationConfig', 'frequencyPenalty', 0.5),
  inside('generationConfig', 'imageConfig', { aspectRatio: canary }),
  inside('generationConfig', 'logprobs', 3),
  inside('generationConfig', 'maxOutputTokens', 77),
  inside('generationConfig', 'mediaResolution', canary),
  inside('generationConfig', 'presencePenalty', 0.5),
  inside('generationConfig', 'responseLogprobs', true),
  inside('generationConfig', 'responseMimeType', 'application/json'),
  inside('generationConfig', 'responseMimeType', 'text/x.enum'),
  inside('generationConfig', 'responseModalities', ['IMAGE']),
  inside('generationConfig', 'responseJsonSchema', { ...schema, title: canary }),
  inside('generationConfig', 'responseSchema', { type: 'OBJECT', description: canary }),
  inside('generationConfig', 'seed', 7),
  inside('generationConfig', 'speechConfig', { languageCode: canary }),
  inside('generationConfig', 'stopSequences', [canary]),
  inside('generationConfig', 'temperature', 0.7),
  inside('generationConfig', 'thinkingConfig', { thinkingBudget: 2000 }),
  inside('generationConfig', 'thinkingConfig', { thinkingLevel: 'HIGH' }),
  inside('generationConfig', 'thinkingConfig', { thinkingBudget: 0 }),
  inside('generationConfig', 'topK', 7),
  inside('generationConfig', 'topP', 0.7),
  inside('toolConfig', 'functionCallingConfig', { mode: 'ANY' }),
  inside('toolConfig', 'functionCallingConfig', { mode: 'NONE' }),
  inside('toolConfig', 'functionCallingConfig', { mode: 'ANY', allowedFunctionNames: ['get'] }),
  inside('toolConfig', 'functionCallingConfig', { mode: 'VALIDATED' }),
  inside('toolConfig', 'functionCallingConfig', { mode: 'AUTO', streamFunctionCallArguments: true }),
  inside('toolConfig', 'retrievalConfig', { languageCode: canary }),
  optioned('a function', declared, { description: canary }),
  optioned('behavior', declared, { behavior: 'NON_BLOCKING' }),
  optioned('the form of a result', declared, { response: { type: 'OBJECT', description: canary } }),
  behind('tools', 'a search', { googleSearch: { excludeDomains: [canary] } }),
  behind('tools', 'code', { codeExecution: {} }),
  behind('contents', 'a text', turn({ text: canary })),
  behind('contents', 'an image', turn({ inlineData: { mimeType: 'image/png', data: canary } })),
  behind('contents', 'sound', turn({ inlineData: { mimeType: 'audio/mp3', data: canary } })),
  behind('contents', 'a film', turn({ inlineData: { mimeType: 'video/mp4', data: canary } })),
  behind(
    'contents',
    'a file',
    turn({
      fileData: {
        mimeType: 'application/pdf',
        fileUri: `https://generativelanguage.googleapis.com/v1beta/files/${canary}`,
      },
    }),
  ),
  behind(
    'contents',
    'an address',
    turn({ fileData: { mimeType: 'image/png', fileUri: `https://e.com/${canary}.png` } }),
  ),
  behind(
    'contents',
    'a part of a film',
    turn({ inlineData: { mimeType: 'video/mp4', data: 'QUJD' }, videoMetadata: { startOffset: canary } }),
  ),
  behind(
    'contents',
    'a resolution',
    turn({ inlineData: { mimeType: 'image/png', data: 'QUJD' }, mediaResolution: { level: canary } }),
  ),
  behind(
    'contents',
    'code',
    { role: 'model', parts: [{ executableCode: { language: 'PYTHON', code: canary } }] },
    turn({ text: 'y' }),
  ),
  behind(
    'contents',
    'a thought',
    { role: 'model', parts: [{ text: canary, thought: true }, { text: 'a' }] },
    turn({ text: 'y' }),
  ),
  behind(
    'contents',
    'a call and its result',
    { role: 'model', parts: [{ functionCall: { id: 'c1', name: 'f', args: {} } }] },
    turn({ functionResponse: { id: 'c1', name: 'f', response: { output: canary } } }),
  ),
  behind(
    'contents',
    'the schedule of a result',
    { role: 'model', parts: [{ functionCall: { id: 'c1', name: 'f', args: {} } }] },
    turn({ functionResponse: { id: 'c1', name: 'f', response: { output: 'r' }, scheduling: 'SILENT' } }),
  ),
];

const converseTool = (more: object) => ({ toolSpec: { name: 'f', inputSchema: { json: schema }, ...more } });
const toolUse = { toolUse: { toolUseId: 't1', name: 'f', input: {} } };
const tools = (name: string, value: unknown): Addition => ({
  name: `toolConfig.tools: ${name}`,
  add: body => {
    const config = body.toolConfig as { tools: unknown[] };
    return { ...body, toolConfig: { ...config, tools: [...config.tools, value] } };
  },
  ...canaryIn(value),
});

const converse: readonly Addition[] = [
  member('additionalModelRequestFields', { anthropic_beta: [canary] }),
  member('additionalModelRequestFields', { thinking: { type: 'enabled', budget_tokens: 2000 } }),
  member('additionalModelRequestFields', { thinking: { type: 'adaptive', display: 'omitted' } }),
  member('additionalModelRequestFields', { top_k: 7 }),
  member('additionalModelResponseFieldPaths', [canary]),
  member('guardrailConfig', { guardrailIdentifier: canary, guardrailVersion: '1' }),
  member('performanceConfig', { latency: 'optimized' }),
  member('promptVariables', { a: { text: canary } }),
  member('requestMetadata', { a: canary }),
  member('serviceTier', { type: 'flex' }),
  member('system', [{ text: canary }]),
  member('system', [{ guardContent: { text: { text: canary } } }]),
  inside('inferenceConfig', 'maxTokens', 77),
  inside('inferenceConfig', 'stopSequences', [canary]),
  inside('inferenceConfig', 'temperature', 0.7),
  inside('inferenceConfig', 'topP', 0.7),
  inside('inferenceConfig', 'vendorsOwn', canary),
  inside('outputConfig', 'effort', 'high'),
  inside('outputConfig', 'textFormat', {
    type: 'json_schema',
    structure: { jsonSchema: { name: 'n', schema: JSON.stringify({ ...schema, title: canary }) } },
  }),
  inside('toolConfig', 'toolChoice', { any: {} }),
  inside('toolConfig', 'toolChoice', { tool: { name: 'get' } }),
  tools('a function', converseTool({ description: canary })),
  tools('strict', converseTool({ strict: true })),
  tools('a tool of the system', { systemTool: { name: canary } }),
  behind('messages', 'a text', block({ text: canary })),
  behind('messages', 'guarded', block({ guardContent: { text: { text: canary } } })),
  behind('messages', 'an image', block({ image: { format: 'png', source: { bytes: canary } } })),
  behind(
    'messages',
    'a kept image',
    block({ image: { format: 'png', source: { s3Location: { uri: `s3://b/${canary}.png` } } } }),
  ),
  behind(
    'messages',
    'the owner of a bucket',
    block({ image: { format: 'png', source: { s3Location: { uri: 's3://b/a.png', bucketOwner: canary } } } }),
  ),
  behind(
    'messages',
    'a document',
    block({ document: { format: 'pdf', name: 'n', source: { bytes: canary } } }),
  ),
  behind(
    'messages',
    'the name of a document',
    block({ document: { format: 'pdf', name: canary, source: { bytes: 'QUJD' } } }),
  ),
  behind(
    'messages',
    'a document of parts',
    block({ document: { format: 'txt', name: 'n', source: { content: [{ text: canary }] } } }),
  ),
  behind(
    'messages',
    'the context of a document',
    block({ document: { format: 'txt', name: 'n', context: canary, source: { text: 'abc' } } }),
  ),
  behind(
    'messages',
    'a cited document',
    block({ document: { format: 'txt', name: 'n', citations: { enabled: true }, source: { text: 'abc' } } }),
  ),
  behind('messages', 'sound', block({ audio: { format: 'mp3', source: { bytes: canary } } })),
  behind('messages', 'a film', block({ video: { format: 'mp4', source: { bytes: canary } } })),
  behind(
    'messages',
    'a search result',
    block({ searchResult: { source: 's', title: 't', content: [{ text: canary }] } }),
  ),
  behind(
    'messages',
    'a result',
    { role: 'assistant', content: [toolUse] },
    block({ toolResult: { toolUseId: 't1', content: [{ json: { a: canary } }] } }),
  ),
  behind(
    'messages',
    'a failure',
    { role: 'assistant', content: [toolUse] },
    block({ toolResult: { toolUseId: 't1', status: 'error', content: [{ text: canary }] } }),
  ),
  behind(
    'messages',
    'a search result in a result',
    { role: 'assistant', content: [toolUse] },
    block({
      toolResult: {
        toolUseId: 't1',
        content: [{ searchResult: { source: 's', title: 't', content: [{ text: canary }] } }],
      },
    }),
  ),
  behind(
    'messages',
    'citations',
    {
      role: 'assistant',
      content: [{ citationsContent: { content: [{ text: 'a' }], citations: [{ title: canary }] } }],
    },
    block({ text: 'y' }),
  ),
];

/** What a client of each protocol says at the least, and what it can say beside. */
export const requests: Readonly<
  Record<string, { readonly base: Json; readonly additions: readonly Addition[] }>
> = {
  'openai-chat': {
    base: {
      model: 'm',
      messages: [{ role: 'user', content: 'x' }],
      tools: [{ type: 'function', function: { name: 'get', parameters: schema } }],
    },
    additions: chat,
  },
  'openai-responses': {
    base: {
      model: 'm',
      input: [{ role: 'user', content: 'x' }],
      tools: [{ type: 'function', name: 'get', parameters: schema, strict: false }],
    },
    additions: responses,
  },
  'anthropic-messages': {
    base: {
      model: 'm',
      max_tokens: 4000,
      messages: [{ role: 'user', content: 'x' }],
      tools: [{ name: 'get', input_schema: schema }],
    },
    additions: messages,
  },
  gemini: {
    base: {
      contents: [{ role: 'user', parts: [{ text: 'x' }] }],
      tools: [{ functionDeclarations: [{ name: 'get', parameters: { type: 'OBJECT', properties: {} } }] }],
    },
    additions: gemini,
  },
  'bedrock-converse': {
    base: {
      messages: [{ role: 'user', content: [{ text: 'x' }] }],
      toolConfig: { tools: [{ toolSpec: { name: 'get', inputSchema: { json: schema } } }] },
    },
    additions: converse,
  },
};
