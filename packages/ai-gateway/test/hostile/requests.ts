/** A request of each protocol that has something at as many places as one request can. */
export interface RichRequest {
  readonly name: string;
  /** What answers in it. */
  readonly protocol: string;
  path(model: string): string;
  body(model: string): Record<string, unknown>;
}

const schema = { type: 'object', properties: { city: { type: 'string', enum: ['a'] } }, required: ['city'] };
const png = 'iVBORw0KGgo=';

const chat = (model: string) => ({
  model,
  messages: [
    { role: 'system', content: [{ type: 'text', text: 'a' }] },
    {
      role: 'user',
      name: 'n',
      content: [
        { type: 'text', text: 'Read /a/b.txt' },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${png}`, detail: 'low' } },
        { type: 'input_audio', input_audio: { data: png, format: 'wav' } },
        { type: 'file', file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${png}` } },
      ],
    },
    {
      role: 'assistant',
      content: null,
      refusal: null,
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
    },
    { role: 'tool', tool_call_id: 'c', content: [{ type: 'text', text: 'r' }] },
  ],
  tools: [{ type: 'function', function: { name: 'f', description: 'd', parameters: schema, strict: true } }],
  tool_choice: { type: 'function', function: { name: 'f' } },
  response_format: { type: 'json_schema', json_schema: { name: 'n', schema, strict: true } },
  stop: ['x'],
  max_completion_tokens: 10,
  temperature: 0.5,
  logit_bias: { 1: 2 },
  metadata: { a: 'b' },
  reasoning_effort: 'low',
  service_tier: 'auto',
  stream_options: { include_usage: true },
  n: 1,
});

const responses = (model: string) => ({
  model,
  instructions: 'i',
  input: [
    {
      role: 'user',
      content: [
        { type: 'input_text', text: 'Read' },
        { type: 'input_image', image_url: `data:image/png;base64,${png}` },
      ],
    },
    { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 's' }], encrypted_content: 'e' },
    { type: 'function_call', id: 'fc_1', call_id: 'c', name: 'f', arguments: '{}' },
    { type: 'function_call_output', call_id: 'c', output: [{ type: 'input_text', text: 'r' }] },
    { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'o', annotations: [] }] },
    { role: 'user', content: 'x' },
  ],
  tools: [
    { type: 'function', name: 'f', parameters: schema, strict: true },
    { type: 'custom', name: 'g', format: { type: 'text' } },
  ],
  tool_choice: { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'f' }] },
  reasoning: { effort: 'low', summary: 'auto' },
  text: { format: { type: 'json_schema', name: 'n', schema }, verbosity: 'low' },
  include: ['reasoning.encrypted_content'],
  max_output_tokens: 100,
  metadata: { a: 'b' },
  truncation: 'auto',
  store: false,
});

const messages = (model: string) => ({
  model,
  max_tokens: 4000,
  system: [{ type: 'text', text: 'a', cache_control: { type: 'ephemeral', ttl: '1h' } }],
  messages: [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Read', cache_control: { type: 'ephemeral' } },
        { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } },
        {
          type: 'document',
          title: 't',
          source: { type: 'base64', media_type: 'application/pdf', data: png },
          citations: { enabled: true },
        },
      ],
    },
    {
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: 't', signature: 's' },
        { type: 'redacted_thinking', data: 'd' },
        { type: 'tool_use', id: 'c', name: 'f', input: { a: [1] } },
      ],
    },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: 'c', is_error: true, content: [{ type: 'text', text: 'r' }] },
      ],
    },
  ],
  tools: [{ name: 'f', description: 'd', input_schema: schema, cache_control: { type: 'ephemeral' } }],
  tool_choice: { type: 'auto', disable_parallel_tool_use: true },
  thinking: { type: 'enabled', budget_tokens: 1024 },
  output_config: { format: { type: 'json_schema', schema } },
  stop_sequences: ['x'],
  metadata: { user_id: 'u' },
});

const gemini = () => ({
  systemInstruction: { role: 'system', parts: [{ text: 's' }] },
  contents: [
    {
      role: 'user',
      parts: [
        { text: 'Read' },
        { inlineData: { mimeType: 'image/png', data: png } },
        { fileData: { fileUri: 'https://e.com/a', mimeType: 'image/png' } },
      ],
    },
    {
      role: 'model',
      parts: [
        { text: 't', thought: true, thoughtSignature: 'cw==' },
        { functionCall: { id: 'c', name: 'f', args: { a: 1 } }, thoughtSignature: 'cw==' },
      ],
    },
    { role: 'user', parts: [{ functionResponse: { id: 'c', name: 'f', response: { output: 'r' } } }] },
  ],
  tools: [{ functionDeclarations: [{ name: 'f', description: 'd', parameters: schema }] }],
  toolConfig: { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['f'] } },
  generationConfig: {
    responseMimeType: 'application/json',
    responseSchema: schema,
    maxOutputTokens: 10,
    stopSequences: ['x'],
    thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 },
  },
  safetySettings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }],
});

const converse = () => ({
  system: [{ text: 's' }, { cachePoint: { type: 'default' } }],
  messages: [
    {
      role: 'user',
      content: [
        { text: 'Read' },
        { image: { format: 'png', source: { bytes: png } } },
        { document: { format: 'pdf', name: 'n', source: { bytes: png } } },
      ],
    },
    {
      role: 'assistant',
      content: [
        { reasoningContent: { reasoningText: { text: 't', signature: 's' } } },
        { toolUse: { toolUseId: 'c', name: 'f', input: {} } },
      ],
    },
    {
      role: 'user',
      content: [
        { toolResult: { toolUseId: 'c', status: 'error', content: [{ json: { a: 1 } }, { text: 'x' }] } },
      ],
    },
  ],
  toolConfig: {
    tools: [{ toolSpec: { name: 'f', description: 'd', inputSchema: { json: schema } } }],
    toolChoice: { auto: {} },
  },
  inferenceConfig: { maxTokens: 10, temperature: 0.5, stopSequences: ['x'] },
  additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 1024 } },
  serviceTier: { type: 'default' },
});

const streamed = (body: (model: string) => Record<string, unknown>) => (model: string) => ({
  ...body(model),
  stream: true,
});

const cohere = (model: string) => ({
  model,
  messages: [
    { role: 'system', content: 'a' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Read /a/b.txt' },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${png}`, detail: 'low' } },
        { type: 'document', document: { data: { a: 'b' }, id: 'd' } },
      ],
    },
    {
      role: 'assistant',
      tool_plan: 'p',
      content: [{ type: 'thinking', thinking: 't' }],
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
      citations: [{ start: 0, end: 1, text: 'a', sources: [] }],
    },
    { role: 'tool', tool_call_id: 'c', content: [{ type: 'text', text: 'r' }] },
  ],
  tools: [{ type: 'function', function: { name: 'f', description: 'd', parameters: schema } }],
  tool_choice: 'REQUIRED',
  response_format: { type: 'json_object', json_schema: schema },
  documents: [{ data: { a: 'b' } }, 'x'],
  citation_options: { mode: 'fast' },
  thinking: { type: 'enabled', token_budget: 1024 },
  stop_sequences: ['x'],
  max_tokens: 10,
  temperature: 0.5,
  p: 0.5,
  k: 4,
});

export const richRequests: readonly RichRequest[] = [
  {
    name: 'chat of Cohere',
    protocol: 'cohere-chat',
    path: () => '/v2/chat',
    body: cohere,
  },
  { name: 'chat', protocol: 'openai-chat', path: () => '/v1/chat/completions', body: chat },
  {
    name: 'chat, streamed',
    protocol: 'openai-chat',
    path: () => '/v1/chat/completions',
    body: streamed(chat),
  },
  { name: 'responses', protocol: 'openai-responses', path: () => '/v1/responses', body: responses },
  {
    name: 'responses, streamed',
    protocol: 'openai-responses',
    path: () => '/v1/responses',
    body: streamed(responses),
  },
  {
    name: 'input_tokens',
    protocol: 'openai-responses',
    path: () => '/v1/responses/input_tokens',
    body: responses,
  },
  { name: 'messages', protocol: 'anthropic-messages', path: () => '/v1/messages', body: messages },
  {
    name: 'messages, streamed',
    protocol: 'anthropic-messages',
    path: () => '/v1/messages',
    body: streamed(messages),
  },
  {
    name: 'count_tokens',
    protocol: 'anthropic-messages',
    path: () => '/v1/messages/count_tokens',
    body: messages,
  },
  {
    name: 'generateContent',
    protocol: 'gemini',
    path: model => `/v1beta/models/${model}:generateContent`,
    body: gemini,
  },
  {
    name: 'streamGenerateContent',
    protocol: 'gemini',
    path: model => `/v1beta/models/${model}:streamGenerateContent?alt=sse`,
    body: gemini,
  },
  {
    name: 'countTokens',
    protocol: 'gemini',
    path: model => `/v1beta/models/${model}:countTokens`,
    body: gemini,
  },
  {
    name: 'converse',
    protocol: 'bedrock-converse',
    path: model => `/model/${model}/converse`,
    body: converse,
  },
  {
    name: 'converse-stream',
    protocol: 'bedrock-converse',
    path: model => `/model/${model}/converse-stream`,
    body: converse,
  },
];

const hosted = (version: string) => (model: string) => {
  const { model: _model, stream: _stream, ...body } = messages(model) as Record<string, unknown>;
  return { anthropic_version: version, anthropic_beta: ['context-1m-2025-08-07'], ...body };
};
const byInvoke = hosted('bedrock-2023-05-31');
const embedded = {
  content: { parts: [{ text: 'a' }] },
  taskType: 'RETRIEVAL_QUERY',
  outputDimensionality: 8,
};

/** Protocols in the form of another cloud, and what only some provider has words for. */
const inOtherForms: readonly RichRequest[] = [
  {
    name: 'rawPredict',
    protocol: 'anthropic-messages',
    path: model => `/v1/projects/p/locations/l/publishers/anthropic/models/${model}:rawPredict`,
    body: hosted('vertex-2023-10-16'),
  },
  {
    name: 'streamRawPredict',
    protocol: 'anthropic-messages',
    path: model => `/v1/projects/p/locations/l/publishers/anthropic/models/${model}:streamRawPredict`,
    body: hosted('vertex-2023-10-16'),
  },
  {
    name: 'invoke',
    protocol: 'bedrock-converse',
    path: model => `/model/${model}/invoke`,
    body: byInvoke,
  },
  {
    name: 'invoke-with-response-stream',
    protocol: 'bedrock-converse',
    path: model => `/model/${model}/invoke-with-response-stream`,
    body: byInvoke,
  },
  {
    name: 'count-tokens',
    protocol: 'bedrock-converse',
    path: model => `/model/${model}/count-tokens`,
    body: model => ({
      input: { invokeModel: { body: Buffer.from(JSON.stringify(byInvoke(model))).toString('base64') } },
    }),
  },
  {
    name: 'a deployment of Azure',
    protocol: 'openai-chat',
    path: model => `/openai/deployments/${model}/chat/completions?api-version=2026-06-01`,
    body: chat,
  },
  {
    name: 'batchEmbedContents',
    protocol: 'gemini',
    path: model => `/v1beta/models/${model}:batchEmbedContents`,
    body: model => ({ requests: [{ model: `models/${model}`, ...embedded }] }),
  },
  {
    name: 'embedContent',
    protocol: 'gemini',
    path: model => `/v1beta/models/${model}:embedContent`,
    body: model => ({ model: `models/${model}`, ...embedded }),
  },
  {
    name: 'predict',
    protocol: 'gemini',
    path: model => `/v1beta1/publishers/google/models/${model}:predict`,
    body: () => ({ instances: [{ content: 'a', task_type: 'x' }], parameters: { outputDimensionality: 8 } }),
  },
  {
    name: 'embed of Cohere',
    protocol: 'cohere-chat',
    path: () => '/v2/embed',
    body: model => ({ model, texts: ['a'], input_type: 'search_query', embedding_types: ['float'] }),
  },
];

/** Endpoints that only pass on: the model in the body, an answer of the same protocol. */
export const samePassed: readonly RichRequest[] = [
  ...inOtherForms,
  {
    name: 'embeddings',
    protocol: 'openai-chat',
    path: () => '/v1/embeddings',
    body: model => ({ model, input: ['a', [1]], dimensions: 8 }),
  },
  {
    name: 'moderations',
    protocol: 'openai-chat',
    path: () => '/v1/moderations',
    body: model => ({ model, input: [{ type: 'text', text: 'a' }] }),
  },
  {
    name: 'images',
    protocol: 'openai-chat',
    path: () => '/v1/images/generations',
    body: model => ({ model, prompt: 'a', n: 1, size: '1024x1024' }),
  },
  {
    name: 'speech',
    protocol: 'openai-chat',
    path: () => '/v1/audio/speech',
    body: model => ({ model, input: 'a', voice: 'alloy' }),
  },
  {
    name: 'rerank',
    protocol: 'cohere-rerank',
    path: () => '/v2/rerank',
    body: model => ({
      model,
      query: 'a',
      documents: ['a', { text: 'b' }],
      top_n: 1,
      max_tokens_per_doc: 10,
      return_documents: true,
    }),
  },
  {
    name: "a provider's own API",
    protocol: 'raw',
    path: provider => `/providers/${provider}/chat/completions`,
    body: chat,
  },
  {
    name: 'message batches',
    protocol: 'anthropic-messages',
    path: () => '/v1/messages/batches',
    body: model => ({
      requests: [
        { custom_id: 'a', params: messages(model) },
        { custom_id: 'b', params: { model, max_tokens: 1, messages: [{ role: 'user', content: 'x' }] } },
      ],
    }),
  },
  {
    name: 'batches',
    protocol: 'openai-chat',
    path: () => '/v1/batches',
    body: () => ({
      input_file_id: 'file-1',
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: { a: 'b' },
    }),
  },
  {
    name: 'conversations',
    protocol: 'openai-chat',
    path: () => '/v1/conversations',
    body: () => ({ items: [{ type: 'message', role: 'user', content: 'x' }], metadata: { a: 'b' } }),
  },
];
