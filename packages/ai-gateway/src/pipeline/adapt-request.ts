import type { Lack } from '../domain/codec.ts';
import type { FinishReason, NeutralEvent } from '../domain/neutral-event.ts';
import type { CustomTool, FunctionTool, NeutralRequest } from '../domain/neutral-request.ts';
import { asString, parseObject } from '../protocols/read-json.ts';
import type { EventAdapter } from './neutral-answers.ts';

export interface Adapted {
  readonly request: NeutralRequest;
  readonly adapter: EventAdapter;
}

/** What a target has no word for, said with what it has: custom tools as functions, a JSON answer as the call of one tool. */
export function adaptRequest(request: NeutralRequest, lacks: readonly Lack[]): Adapted {
  if (!isAdapted(request, lacks)) return { request, adapter: asItIs };
  const functions = lacks.includes('custom-tools') ? withoutCustomTools(request) : { request, adapters: [] };
  const answer = needsAnswerTool(request, lacks) ? withAnswerTool(functions.request) : undefined;
  const adapters = [...functions.adapters, ...(answer ? [answer.adapter] : [])];
  return {
    request: answer?.request ?? functions.request,
    adapter: {
      adapt: event =>
        adapters.reduce<readonly NeutralEvent[]>(
          (events, adapter) => events.flatMap(each => adapter.adapt(each)),
          [event],
        ),
    },
  };
}

const asItIs: EventAdapter = { adapt: event => [event] };

/** Whether `adaptRequest` would change anything. */
export function isAdapted(request: NeutralRequest, lacks: readonly Lack[]): boolean {
  const hasCustomTools = lacks.includes('custom-tools') && request.tools.some(tool => tool.type === 'custom');
  return hasCustomTools || needsAnswerTool(request, lacks);
}

function withoutCustomTools(request: NeutralRequest): { request: NeutralRequest; adapters: EventAdapter[] } {
  const custom = request.tools.filter(tool => tool.type === 'custom');
  if (custom.length === 0) return { request, adapters: [] };
  const tools = request.tools.map(tool => (tool.type === 'custom' ? asFunction(tool) : tool));
  return {
    request: { ...request, tools },
    adapters: [new CustomToolAdapter(new Set(custom.map(tool => tool.name)))],
  };
}

function asFunction({ name, description, grammar }: CustomTool): FunctionTool {
  const format = grammar === undefined ? '' : `\nThe input must fit this format: ${JSON.stringify(grammar)}`;
  return {
    type: 'function',
    name,
    description: `${description ?? ''}${format}`,
    schema: {
      type: 'object',
      properties: { input: { type: 'string', description: 'The whole input, as plain text.' } },
      required: ['input'],
    },
  };
}

/** Calls of such a function are calls of the custom tool again. The text is whole before it can be taken out of its JSON. */
class CustomToolAdapter implements EventAdapter {
  readonly #names: ReadonlySet<string>;
  readonly #texts = new Map<number, string>();

  constructor(names: ReadonlySet<string>) {
    this.#names = names;
  }

  adapt(event: NeutralEvent): readonly NeutralEvent[] {
    switch (event.type) {
      case 'block-start': {
        const { block, index } = event;
        if (block.kind !== 'tool-call' || block.input === 'text' || !this.#names.has(block.name))
          return [event];
        this.#texts.set(index, '');
        return [{ ...event, block: { ...block, input: 'text' } }];
      }
      case 'block-delta': {
        const text = this.#texts.get(event.index);
        if (text === undefined || event.delta.type !== 'text') return [event];
        this.#texts.set(event.index, text + event.delta.text);
        return [];
      }
      case 'block-stop':
        return [...this.#release(event.index), event];
      case 'finish':
        return [...[...this.#texts.keys()].flatMap(index => this.#release(index)), event];
      default:
        return [event];
    }
  }

  #release(index: number): NeutralEvent[] {
    const written = this.#texts.get(index);
    if (written === undefined) return [];
    this.#texts.delete(index);
    const text = asString(parseObject(Buffer.from(written))?.input) ?? written;
    return [{ type: 'block-delta', index, delta: { type: 'text', text } }];
  }
}

const answerTool = 'give_answer';
const ended: FinishReason = 'stop';
const stopped: NeutralEvent = { type: 'finish', reason: ended };

function needsAnswerTool({ format }: NeutralRequest, lacks: readonly Lack[]): boolean {
  if (format?.type === 'json') return lacks.includes('json-object');
  return format?.type === 'json-schema' && lacks.includes('json-schema');
}

/** Structured output where there is none: the model is made to call one tool, whose arguments are the answer. */
function withAnswerTool(request: NeutralRequest): Adapted {
  const { format, tools } = request;
  const schema = format?.type === 'json-schema' ? format.schema : { type: 'object' };
  const described = format?.type === 'json-schema' ? format.description : undefined;
  const tool: FunctionTool = {
    type: 'function',
    name: answerTool,
    description: ['Gives the final answer. Its arguments are the answer.', described].join('\n').trim(),
    schema,
  };
  return {
    request: {
      ...request,
      format: undefined,
      tools: [...tools, tool],
      // Beside the client's own tools the model may still choose one of those first.
      toolChoice: tools.length === 0 ? { type: 'tool', name: answerTool } : { type: 'required' },
    },
    adapter: new AnswerToolAdapter(),
  };
}

class AnswerToolAdapter implements EventAdapter {
  #isAnswered = false;
  #hasCalls = false;

  adapt(event: NeutralEvent): readonly NeutralEvent[] {
    if (event.type === 'block-start' && event.block.kind === 'tool-call') {
      if (event.block.name !== answerTool) {
        this.#hasCalls = true;
        return [event];
      }
      this.#isAnswered = true;
      return [{ ...event, block: { kind: 'text' } }];
    }
    const isEnd = event.type === 'finish' && event.reason === 'tool-calls';
    if (isEnd && this.#isAnswered && !this.#hasCalls) return [stopped];
    return [event];
  }
}
