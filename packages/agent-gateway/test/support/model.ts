import type { ServerResponse } from 'node:http';
import { type FarEnd, type Received, startFarEnd } from './http-far-end.ts';

export interface ChatBody {
  readonly model: string;
  readonly messages: readonly {
    readonly role: string;
    readonly content: string | null;
    readonly tool_calls?: unknown;
  }[];
  readonly tools?: readonly { readonly function: { readonly name: string } }[];
  readonly stream?: boolean;
}

export type Reply =
  | { readonly say: string; readonly pieces?: readonly string[] }
  | { readonly use: readonly { readonly tool: string; readonly input: unknown }[] }
  | {
      readonly status: number;
      readonly code?: string;
      readonly details?: Readonly<Record<string, string>>;
      readonly headers?: Readonly<Record<string, string>>;
    };

/** The chat endpoint of ai-gateway, answering as the test says and naming a price: 1000 nano-USD a call. */
export function startModel(
  reply: (body: ChatBody, turn: number, request: Received) => Reply | Promise<Reply>,
): Promise<FarEnd> {
  let turn = 0;
  return startFarEnd(async (request, response) => {
    const body = JSON.parse(request.body) as ChatBody; // from the client under test
    const answer = await reply(body, ++turn, request);
    response.setHeader('content-type', 'application/json');
    if ('status' in answer) {
      response.writeHead(answer.status, answer.headers);
      const { code = 'test', details } = answer;
      response.end(JSON.stringify({ error: { message: 'refused', code, ...(details && { details }) } }));
      return;
    }
    if ('pieces' in answer && answer.pieces !== undefined) {
      stream(response, body, answer.pieces);
      return;
    }
    const toolCalls = 'use' in answer ? answer.use : [];
    response.setHeader('x-strata-cost-nano-usd', '1000').end(
      JSON.stringify({
        id: `chat-${turn}`,
        model: body.model,
        choices: [
          {
            finish_reason: toolCalls.length > 0 ? 'tool_calls' : 'stop',
            message: {
              role: 'assistant',
              content: 'say' in answer ? answer.say : null,
              ...(toolCalls.length > 0 && {
                tool_calls: toolCalls.map(({ tool, input }, index) => ({
                  id: `call-${turn}-${index}`,
                  type: 'function',
                  function: {
                    name: tool,
                    arguments: typeof input === 'string' ? input : JSON.stringify(input),
                  },
                })),
              }),
            },
          },
        ],
        usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
      }),
    );
  });
}

/** As ai-gateway streams, with its price at the end. */
function stream(response: ServerResponse, { model }: ChatBody, pieces: readonly string[]): void {
  const chunk = (rest: object) =>
    `data: ${JSON.stringify({ id: 'chat', object: 'chat.completion.chunk', model, ...rest })}\n\n`;
  response.setHeader('content-type', 'text/event-stream');
  for (const content of pieces) response.write(chunk({ choices: [{ index: 0, delta: { content } }] }));
  response.write(chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }));
  response.write(
    chunk({ choices: [], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } }),
  );
  response.end('data: [DONE]\n\n: strata cost_nano_usd=1000\n\n');
}
