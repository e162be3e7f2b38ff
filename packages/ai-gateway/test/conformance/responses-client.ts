import OpenAI from 'openai';
import type { Response, ResponseCreateParamsBase } from 'openai/resources/responses/responses';
import type { Case } from './cases.ts';
import type { Asked, Client } from './client.ts';

export const responsesClient: Client = {
  name: 'openai, responses',
  protocol: 'openai-responses',
  lacks: ['a stop sequence'],
  async ask(server, model, test, isStream) {
    const sdk = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.key, maxRetries: 0 });
    const body = responsesBody(model, test);
    const response = isStream
      ? await sdk.responses.stream(body).finalResponse()
      : await sdk.responses.create({ ...body, stream: false });
    return readResponse(response);
  },
};

function responsesBody(model: string, test: Case): ResponseCreateParamsBase & { stream?: never } {
  const { prompt, system, image, pdf, tools, forcedTool, schema, thinks } = test;
  return {
    model,
    max_output_tokens: 4000,
    store: false,
    ...(system !== undefined && { instructions: system }),
    ...(forcedTool && { tool_choice: { type: 'function' as const, name: forcedTool } }),
    input: [
      {
        role: 'user',
        content: [
          { type: 'input_text', text: prompt },
          ...(image === undefined
            ? []
            : [
                {
                  type: 'input_image' as const,
                  detail: 'auto' as const,
                  image_url: `data:image/png;base64,${image}`,
                },
              ]),
          ...(pdf === undefined
            ? []
            : [
                {
                  type: 'input_file' as const,
                  filename: 'page.pdf',
                  file_data: `data:application/pdf;base64,${pdf}`,
                },
              ]),
        ],
      },
    ],
    ...(tools && {
      tools: tools.map(({ name, schema: parameters }) => ({
        type: 'function' as const,
        name,
        parameters,
        strict: false,
      })),
    }),
    ...(schema && {
      text: { format: { type: 'json_schema' as const, name: 'answer', strict: true, schema } },
    }),
    ...(thinks && { reasoning: { effort: 'medium' as const, summary: 'auto' as const } }),
  };
}

function readResponse(response: Response): Asked {
  const parts = response.output.flatMap(item => (item.type === 'message' ? item.content : []));
  const refusal = parts.flatMap(part => (part.type === 'refusal' ? [part.refusal] : [])).join('');
  const text = parts.flatMap(part => (part.type === 'output_text' ? [part.text] : [])).join('');
  const calls = response.output.flatMap(item =>
    item.type === 'function_call'
      ? [{ name: item.name, arguments: JSON.parse(item.arguments) as unknown }]
      : [],
  );
  const why = response.incomplete_details?.reason;
  const isRefused = refusal !== '' || why === 'content_filter';
  const ended = why === 'max_output_tokens' ? 'length' : calls.length > 0 ? 'tool-calls' : 'stop';
  return {
    seen: {
      text: isRefused ? '' : text,
      refusal: isRefused ? refusal || text : '',
      calls,
      finish: isRefused ? 'refused' : ended,
      inputTokens: response.usage?.input_tokens ?? 0,
      cachedTokens: response.usage?.input_tokens_details?.cached_tokens ?? 0,
      outputTokens: response.usage?.output_tokens ?? 0,
    },
    message: {
      output: response.output.map(item => ({
        type: item.type,
        ...(item.type === 'message' && { content: item.content.map(withoutParsed) }),
        ...(item.type === 'function_call' && { name: item.name, arguments: item.arguments }),
        ...(item.type === 'reasoning' && { summary: item.summary }),
      })),
      status: response.status,
      model: response.model,
      usage: response.usage,
    },
  };
}

/** The SDK adds a `parsed` member to what it streams. */
function withoutParsed(part: object): object {
  return Object.fromEntries(Object.entries(part).filter(([key]) => key !== 'parsed'));
}
