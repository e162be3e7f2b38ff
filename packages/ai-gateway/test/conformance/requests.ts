/** The same request in the words of each ingress protocol, for tests that look at bytes. A new protocol is a line here. */
export interface Ingress {
  readonly name: string;
  readonly protocol: string;
  readonly path: (model: string) => string;
  body(model: string, prompt: string): object;
}

const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };

export const ingresses: readonly Ingress[] = [
  {
    name: 'openai-chat',
    protocol: 'openai-chat',
    path: () => '/v1/chat/completions',
    body: (model, prompt) => ({
      model,
      stream: true,
      stream_options: { include_usage: true },
      reasoning_effort: 'medium',
      messages: [{ role: 'user', content: prompt }],
      tools: [{ type: 'function', function: { name: 'get_weather', parameters: schema } }],
    }),
  },
  {
    name: 'openai-responses',
    protocol: 'openai-responses',
    path: () => '/v1/responses',
    body: (model, prompt) => ({
      model,
      stream: true,
      store: false,
      reasoning: { effort: 'medium', summary: 'auto' },
      input: prompt,
      tools: [{ type: 'function', name: 'get_weather', parameters: schema }],
    }),
  },
  {
    name: 'anthropic-messages',
    protocol: 'anthropic-messages',
    path: () => '/v1/messages',
    body: (model, prompt) => ({
      model,
      stream: true,
      max_tokens: 4000,
      thinking: { type: 'enabled', budget_tokens: 2000 },
      messages: [{ role: 'user', content: prompt }],
      tools: [{ name: 'get_weather', input_schema: schema }],
    }),
  },
  {
    name: 'gemini',
    protocol: 'gemini',
    path: model => `/v1beta/models/${model}:streamGenerateContent?alt=sse`,
    body: geminiBody,
  },
  {
    name: 'gemini as a JSON array',
    protocol: 'gemini',
    path: model => `/v1beta/models/${model}:streamGenerateContent`,
    body: geminiBody,
  },
  {
    name: 'bedrock-converse',
    protocol: 'bedrock-converse',
    path: model => `/model/${model}/converse-stream`,
    body: (_model, prompt) => ({
      messages: [{ role: 'user', content: [{ text: prompt }] }],
      inferenceConfig: { maxTokens: 4000 },
      toolConfig: { tools: [{ toolSpec: { name: 'get_weather', inputSchema: { json: schema } } }] },
      additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 2000 } },
    }),
  },
];

/** The same request for a whole answer. */
export function wholeOf({ name, protocol, path, body }: Ingress): Ingress {
  return {
    name,
    protocol,
    path: model =>
      path(model)
        .replace(/:streamG(.*?)(\?.*)?$/, ':g$1')
        .replace('converse-stream', 'converse'),
    body(model, prompt) {
      const { stream, stream_options, ...rest } = body(model, prompt) as Record<string, unknown>; // an object of the list above
      return rest;
    },
  };
}

function geminiBody(_model: string, prompt: string): object {
  return {
    contents: [{ role: 'user', parts: [{ text: prompt }] }],
    generationConfig: { maxOutputTokens: 4000, thinkingConfig: { includeThoughts: true } },
    tools: [{ functionDeclarations: [{ name: 'get_weather', parametersJsonSchema: schema }] }],
  };
}
