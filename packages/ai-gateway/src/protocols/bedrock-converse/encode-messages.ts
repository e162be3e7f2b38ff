import type { EncodeTarget } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { Losses } from '../../domain/losses.ts';
import {
  type CacheMark,
  isMedia,
  type MediaPart,
  type Message,
  type Part,
  type ReasoningPart,
  type TextPart,
  type ToolCallPart,
  type ToolResultPart,
} from '../../domain/neutral-request.ts';
import { mayOpen } from '../../domain/seal.ts';
import { asObject } from '../read-json.ts';
import { callInput, lostPart, reportMedia } from '../request-losses.ts';
import { resultsFirst } from '../request-parts.ts';
import { type ToolNames, wireCallId } from '../tool-names.ts';
import { converseProtocol } from './decode-request.ts';
import { formatOf } from './media-formats.ts';

const callIdLength = 64;
const maxMarks = 4;

/** Cache points after what is marked; the protocol takes four. */
export class CachePoints {
  readonly #losses: Losses;
  #count = 0;

  constructor(losses: Losses) {
    this.#losses = losses;
  }

  after(mark: CacheMark | undefined): JsonObject[] {
    if (mark === undefined) return [];
    if (this.#count >= maxMarks) {
      this.#losses.changed('cache_control');
      return [];
    }
    this.#count++;
    return [{ cachePoint: { type: 'default', ttl: mark.ttl } }];
  }
}

export interface BlockDeps {
  readonly target: EncodeTarget;
  readonly names: ToolNames;
  readonly points: CachePoints;
  readonly losses: Losses;
}

export function encodeSystem(system: readonly TextPart[], points: CachePoints): JsonObject[] {
  return system
    .filter(part => part.text !== '')
    .flatMap(({ text, cache }) => [{ text }, ...points.after(cache)]);
}

/** Turns as Converse wants them: user first, results of tools first, no empty text. */
export function encodeMessages(messages: readonly Message[], deps: BlockDeps): JsonObject[] {
  const writer = new BlockWriter(deps);
  const written = messages.flatMap(({ role, parts }) => {
    const content = (role === 'user' ? resultsFirst(parts) : parts).flatMap(part => writer.blocks(part));
    return content.length === 0 ? [] : [{ role, content }];
  });
  if (written[0]?.role === 'assistant') {
    deps.losses.changed('messages');
    written.unshift({ role: 'user', content: [{ text: '(The conversation begins here.)' }] });
  }
  return written;
}

class BlockWriter {
  readonly #deps: BlockDeps;
  #documents = 0;

  constructor(deps: BlockDeps) {
    this.#deps = deps;
  }

  blocks(part: Part): JsonObject[] {
    const written = this.#block(part);
    const mark = 'cache' in part ? part.cache : undefined;
    return written.length === 0 ? [] : [...written, ...this.#deps.points.after(mark)];
  }

  #block(part: Part): JsonObject[] {
    switch (part.type) {
      case 'text':
      case 'refusal':
        return part.text === '' ? [] : [{ text: part.text }];
      case 'reasoning':
        return this.#reasoning(part);
      case 'tool-call':
        return [this.#call(part)];
      case 'tool-result':
        return [this.#result(part)];
      case 'foreign': {
        const value = part.protocol === converseProtocol ? asObject(part.value) : undefined;
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

  #reasoning(part: ReasoningPart): JsonObject[] {
    const { seal, text } = part;
    const kinds = ['anthropic-signature', 'anthropic-redacted'] as const;
    if (seal === undefined || !mayOpen(seal, this.#deps.target, kinds)) return this.#lost(part);
    if (seal.kind === 'anthropic-redacted') return [{ reasoningContent: { redactedContent: seal.data } }];
    return [{ reasoningContent: { reasoningText: { text, signature: seal.data } } }];
  }

  #call(part: ToolCallPart): JsonObject {
    const { id, name } = part;
    return {
      toolUse: {
        toolUseId: wireCallId(id, callIdLength),
        name: this.#deps.names.wire(name),
        input: callInput(part, this.#deps.losses),
      },
    };
  }

  #result({ callId, parts, isError }: ToolResultPart): JsonObject {
    const content = parts.flatMap(part => {
      if (isMedia(part)) return this.#media(part);
      if (part.type === 'foreign') return [asObject(part.value) ?? {}];
      return part.text === '' ? [] : [{ text: part.text }];
    });
    return {
      toolResult: {
        toolUseId: wireCallId(callId, callIdLength),
        content: content.length > 0 ? content : [{ text: '(no output)' }],
        ...(isError && { status: 'error' }),
      },
    };
  }

  #media(part: MediaPart): JsonObject[] {
    if (part.source.type === 'text' && part.type === 'document') {
      const bytes = Buffer.from(part.source.text).toString('base64');
      return [this.#document(part, 'txt', { bytes })];
    }
    const source = sourceOf(part);
    const mediaType = part.source.type === 'data' ? part.source.mediaType : '';
    const format = part.source.type === 'file' ? extensionOf(part.source.id) : formatOf(part.type, mediaType);
    if (source === undefined || format === undefined) return this.#lost(part);
    reportMedia(part, part.type === 'document' ? ['name', 'context', 'citations'] : [], this.#deps.losses);
    if (part.type === 'document') return [this.#document(part, format, source)];
    return [{ [part.type]: { format, source } }];
  }

  /** A document needs a name of its own, in few characters. */
  #document(part: MediaPart, format: string, source: JsonObject): JsonObject {
    const number = ++this.#documents;
    const clean = (part.name ?? '')
      .replace(/\.[a-z0-9]+$/i, '')
      .replace(/[^a-zA-Z0-9 ()[\]-]+/g, '-')
      .trim();
    const name = clean === '' ? `document ${number}` : clean.slice(0, 100);
    return {
      document: {
        format,
        name,
        source,
        context: part.context,
        citations: part.wantsCitations ? { enabled: true } : undefined,
      },
    };
  }
}

/** Bedrock fetches nothing from the web: an address is refused rather than asked for on somebody's behalf. */
function sourceOf({ source }: MediaPart): JsonObject | undefined {
  if (source.type === 'data') return { bytes: source.data };
  if (source.type === 'file' && source.protocol === converseProtocol)
    return { s3Location: { uri: source.id } };
  return undefined;
}

function extensionOf(uri: string): string | undefined {
  const extension = /\.([a-z0-9]+)$/i.exec(uri)?.[1]?.toLowerCase();
  return extension === 'jpg' ? 'jpeg' : extension;
}
