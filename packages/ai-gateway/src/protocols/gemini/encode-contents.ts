import type { EncodeTarget } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { Losses } from '../../domain/losses.ts';
import {
  isMedia,
  type MediaPart,
  type Message,
  type Part,
  type ToolCallPart,
  type ToolResultPart,
} from '../../domain/neutral-request.ts';
import { mayOpen, type Seal } from '../../domain/seal.ts';
import { asObject, parseObject } from '../read-json.ts';
import { callInput, lostPart, reportMedia } from '../request-losses.ts';
import { joinedText, resultsFirst } from '../request-parts.ts';
import { type ToolNames, wireCallId } from '../tool-names.ts';
import { geminiProtocol } from './names.ts';
import { foreignCallSignature } from './signature.ts';

const callIdLength = 64;

export interface ContentDeps {
  readonly target: EncodeTarget;
  readonly names: ToolNames;
  readonly losses: Losses;
}

/** Turns as Gemini wants them: a turn has parts, the first call of a turn is signed, results name their function. */
export class ContentWriter {
  readonly #deps: ContentDeps;
  /** Names of calls whose results do not name them. */
  readonly #called = new Map<string, string>();

  constructor(deps: ContentDeps) {
    this.#deps = deps;
  }

  contents(messages: readonly Message[]): JsonObject[] {
    return messages.flatMap(message => {
      const parts = this.#parts(message);
      return parts.length === 0 ? [] : [{ role: message.role === 'assistant' ? 'model' : 'user', parts }];
    });
  }

  #parts({ role, parts }: Message): JsonObject[] {
    const written = (role === 'user' ? resultsFirst(parts) : parts).flatMap(part => this.#part(part));
    const firstCall = written.findIndex(part => part.functionCall !== undefined);
    const call = written[firstCall];
    if (call !== undefined && call.thoughtSignature === undefined)
      written[firstCall] = { ...call, thoughtSignature: foreignCallSignature };
    return written;
  }

  #part(part: Part): JsonObject[] {
    switch (part.type) {
      case 'text': {
        const signature = this.#signature(part.seal);
        return part.text === '' && signature.thoughtSignature === undefined
          ? []
          : [{ text: part.text, ...signature }];
      }
      case 'refusal':
        return part.text === '' ? [] : [{ text: part.text }];
      case 'reasoning': {
        const signature = this.#signature(part.seal);
        if (signature.thoughtSignature === undefined) return this.#lost(part);
        return [{ text: part.text, thought: true, ...signature }];
      }
      case 'tool-call':
        return [this.#call(part)];
      case 'tool-result':
        return [this.#result(part)];
      case 'foreign': {
        const value = part.protocol === geminiProtocol ? asObject(part.value) : undefined;
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

  #signature(seal: Seal | undefined): { thoughtSignature?: string } {
    if (seal === undefined || !mayOpen(seal, this.#deps.target, ['gemini-thought'])) return {};
    return { thoughtSignature: seal.data };
  }

  #call(part: ToolCallPart): JsonObject {
    const { id, name, seal } = part;
    this.#called.set(id, name);
    const args = callInput(part, this.#deps.losses);
    return {
      functionCall: { id: wireCallId(id, callIdLength), name: this.#deps.names.wire(name), args },
      ...this.#signature(seal),
    };
  }

  #result({ callId, name, parts, isError }: ToolResultPart): JsonObject {
    const text = joinedText(parts);
    const object = isError ? undefined : parseObject(Buffer.from(text));
    const media = parts.filter(isMedia).flatMap(part => this.#media(part));
    return {
      functionResponse: {
        id: wireCallId(callId, callIdLength),
        name: this.#deps.names.wire(name ?? this.#called.get(callId) ?? callId),
        response: object ?? (isError ? { error: text } : { result: text }),
        parts: media.length > 0 ? media : undefined,
      },
    };
  }

  #media(part: MediaPart): JsonObject[] {
    const { source } = part;
    if (source.type !== 'file' || source.protocol === geminiProtocol)
      reportMedia(part, [], this.#deps.losses);
    switch (source.type) {
      case 'data':
        return [{ inlineData: { mimeType: source.mediaType, data: source.data } }];
      case 'text':
        return [{ text: source.text }];
      case 'url':
        return [
          {
            fileData: {
              mimeType: source.mediaType ?? mediaTypeOf(source.url, part.type),
              fileUri: source.url,
            },
          },
        ];
      case 'file':
        if (source.protocol !== geminiProtocol) return this.#lost(part);
        return [{ fileData: { fileUri: source.id } }];
    }
  }
}

const byExtension: Readonly<Record<string, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  pdf: 'application/pdf',
  mp3: 'audio/mpeg',
  wav: 'audio/wav',
  mp4: 'video/mp4',
  txt: 'text/plain',
};

const byKind: Readonly<Record<MediaPart['type'], string>> = {
  image: 'image/jpeg',
  document: 'application/pdf',
  audio: 'audio/mpeg',
  video: 'video/mp4',
};

function mediaTypeOf(url: string, kind: MediaPart['type']): string {
  const extension = /\.([a-z0-9]{2,4})(?:[?#]|$)/i.exec(url)?.[1]?.toLowerCase() ?? '';
  return (Object.hasOwn(byExtension, extension) ? byExtension[extension] : undefined) ?? byKind[kind];
}
