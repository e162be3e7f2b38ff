import type { EncodeTarget } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { Losses } from '../../domain/losses.ts';
import type {
  CacheMark,
  MediaPart,
  Message,
  Part,
  ReasoningPart,
  TextPart,
  ToolCallPart,
  ToolResultPart,
} from '../../domain/neutral-request.ts';
import { isMedia } from '../../domain/neutral-request.ts';
import { mayOpen } from '../../domain/seal.ts';
import { asObject } from '../read-json.ts';
import { callInput, lostPart, reportMedia } from '../request-losses.ts';
import { resultsFirst } from '../request-parts.ts';
import { type ToolNames, wireCallId } from '../tool-names.ts';
import { messagesProtocol } from './decode-request.ts';

const callIdLength = 64;
const maxMarks = 4;

/** Counts the marks of the prompt cache: the protocol takes four. */
export class CacheMarks {
  readonly #losses: Losses;
  #count = 0;

  constructor(losses: Losses) {
    this.#losses = losses;
  }

  of(mark: CacheMark | undefined): { cache_control?: JsonObject } {
    if (mark === undefined) return {};
    if (this.#count >= maxMarks) {
      this.#losses.changed('cache_control');
      return {};
    }
    this.#count++;
    return { cache_control: { type: 'ephemeral', ttl: mark.ttl } };
  }
}

export interface MessageDeps {
  readonly target: EncodeTarget;
  readonly names: ToolNames;
  readonly marks: CacheMarks;
  readonly losses: Losses;
}

export function encodeSystem(system: readonly TextPart[], marks: CacheMarks): JsonObject[] {
  return system.filter(part => part.text !== '').map(part => textBlock(part, marks));
}

function textBlock({ text, cache }: TextPart, marks: CacheMarks): JsonObject {
  return { type: 'text', text, ...marks.of(cache) };
}

/** Turns as the protocol wants them: user first, results of tools first, no empty text, no white space at the very end. */
export function encodeMessages(messages: readonly Message[], deps: MessageDeps): JsonObject[] {
  const writer = new BlockWriter(deps);
  const written = messages.flatMap(({ role, parts }) => {
    const content = (role === 'user' ? resultsFirst(parts) : parts).flatMap(part => writer.block(part));
    return content.length === 0 ? [] : [{ role, content }];
  });
  const first = written[0];
  if (first?.role === 'assistant') {
    deps.losses.changed('messages');
    written.unshift({ role: 'user', content: [{ type: 'text', text: '(The conversation begins here.)' }] });
  }
  const last = written.at(-1);
  if (last?.role === 'assistant') trimEnd(last.content, deps.losses);
  return written;
}

function trimEnd(content: JsonObject[], losses: Losses): void {
  const block = content.at(-1);
  if (block?.type !== 'text' || typeof block.text !== 'string') return;
  const text = block.text.trimEnd();
  if (text === block.text) return;
  losses.changed('messages');
  content[content.length - 1] = { ...block, text };
}

class BlockWriter {
  readonly #deps: MessageDeps;

  constructor(deps: MessageDeps) {
    this.#deps = deps;
  }

  block(part: Part): JsonObject[] {
    switch (part.type) {
      case 'text':
        return part.text === '' ? [] : [textBlock(part, this.#deps.marks)];
      case 'refusal':
        return part.text === '' ? [] : [{ type: 'text', text: part.text }];
      case 'reasoning':
        return this.#reasoning(part);
      case 'tool-call':
        return [this.#call(part)];
      case 'tool-result':
        return [this.#result(part)];
      case 'foreign': {
        const value = part.protocol === messagesProtocol ? asObject(part.value) : undefined;
        return value === undefined ? this.#lost(part) : [value];
      }
      default:
        return this.#media(part);
    }
  }

  #lost(part: Part): JsonObject[] {
    this.#deps.losses.dropped(lostPart(part));
    return [];
  }

  /** Only what the target itself sealed may come back. */
  #reasoning(part: ReasoningPart): JsonObject[] {
    const { seal, text } = part;
    if (
      seal === undefined ||
      !mayOpen(seal, this.#deps.target, ['anthropic-signature', 'anthropic-redacted'])
    )
      return this.#lost(part);
    if (seal.kind === 'anthropic-redacted') return [{ type: 'redacted_thinking', data: seal.data }];
    return [{ type: 'thinking', thinking: text, signature: seal.data }];
  }

  #call(part: ToolCallPart): JsonObject {
    const { id, name, cache } = part;
    const { names, marks, losses } = this.#deps;
    return {
      type: 'tool_use',
      id: wireCallId(id, callIdLength),
      name: names.wire(name),
      input: callInput(part, losses),
      ...marks.of(cache),
    };
  }

  #result({ callId, parts, isError, cache }: ToolResultPart): JsonObject {
    const content = parts.flatMap(part => {
      if (isMedia(part)) return this.#media(part);
      if (part.type === 'foreign') return [asObject(part.value) ?? {}];
      return part.text === '' ? [] : [textBlock(part, this.#deps.marks)];
    });
    return {
      type: 'tool_result',
      tool_use_id: wireCallId(callId, callIdLength),
      content: content.length > 0 ? content : undefined,
      is_error: isError ? true : undefined,
      ...this.#deps.marks.of(cache),
    };
  }

  #media(part: MediaPart): JsonObject[] {
    const source = sourceOf(part);
    if (source === undefined || (part.type !== 'image' && part.type !== 'document')) return this.#lost(part);
    reportMedia(part, part.type === 'document' ? ['name', 'context', 'citations'] : [], this.#deps.losses);
    return [
      {
        type: part.type,
        source,
        title: part.type === 'document' ? part.name : undefined,
        context: part.context,
        citations: part.wantsCitations ? { enabled: true } : undefined,
        ...this.#deps.marks.of(part.cache),
      },
    ];
  }
}

function sourceOf({ source, type }: MediaPart): JsonObject | undefined {
  switch (source.type) {
    case 'url':
      return { type: 'url', url: source.url };
    case 'text':
      return { type: 'text', media_type: 'text/plain', data: source.text };
    case 'file':
      return source.protocol === messagesProtocol ? { type: 'file', file_id: source.id } : undefined;
    case 'data': {
      const { mediaType, data } = source;
      if (type === 'document' && mediaType.startsWith('text/')) {
        return { type: 'text', media_type: 'text/plain', data: Buffer.from(data, 'base64').toString('utf8') };
      }
      return { type: 'base64', media_type: mediaType, data };
    }
  }
}
