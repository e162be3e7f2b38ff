/** The same request in the words of each ingress protocol, for tests that look at bytes. A new protocol is a line here. */
export interface Ingress {
  readonly protocol: string;
  readonly path: (model: string) => string;
  body(model: string, prompt: string): object;
}

const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };

export const ingresses: readonly Ingress[] = [
  {
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
];
