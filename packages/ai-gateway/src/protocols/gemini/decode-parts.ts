import type { JsonObject } from '../../domain/json-object.ts';
import type { MediaPart, Part, ReasoningPart, Source } from '../../domain/neutral-request.ts';
import type { Seal } from '../../domain/seal.ts';
import { unload } from '../carrier.ts';
import { asObject, asObjects, asString } from '../read-json.ts';
import { resultTexts } from '../request-parts.ts';
import { geminiProtocol } from './names.ts';
import { readCallSignature, readSignature } from './signature.ts';

interface OpenCall {
  readonly id: string;
  readonly name: string;
}

/** Reads the parts of a conversation in order. Calls may have no ids; then their answers belong to them by name and order. */
export class PartReader {
  readonly #open: OpenCall[] = [];
  #calls = 0;

  read(parts: readonly JsonObject[]): Part[] {
    const read: Part[] = [];
    let sinceCall: Part[] = [];
    for (const part of parts) {
      const call = asObject(part.functionCall);
      if (call === undefined) {
        sinceCall.push(this.#part(part));
        continue;
      }
      const { carried, ...made } = this.#call(call, asString(part.thoughtSignature));
      read.push(...withCarried(sinceCall, carried), made);
      sinceCall = [];
    }
    return [...read, ...sinceCall];
  }

  #part(part: JsonObject): Part {
    const answer = asObject(part.functionResponse);
    if (answer !== undefined) return this.#answer(answer);
    const text = asString(part.text);
    if (text === undefined) return mediaOf(part) ?? foreign(part);
    const seal = sealOf(part);
    if (part.thought === true) return { type: 'reasoning', text, seal };
    return { type: 'text', text, ...(seal && { seal }) };
  }

  #call(call: JsonObject, signature: string | undefined) {
    const name = asString(call.name) ?? '';
    const { id, carried } = unload(asString(call.id) ?? `call_${++this.#calls}`);
    this.#open.push({ id, name });
    const signed = signature === undefined ? undefined : readCallSignature(signature);
    return {
      type: 'tool-call' as const,
      id,
      name,
      input: 'json' as const,
      arguments: JSON.stringify(asObject(call.args) ?? {}),
      seal: signed?.seal ?? carried.seal,
      carried: [...carried.reasoning, ...(signed?.reasoning ?? [])],
    };
  }

  #answer(answer: JsonObject): Part {
    const name = asString(answer.name) ?? '';
    const written = asString(answer.id);
    const id = written === undefined ? undefined : unload(written).id;
    const at = this.#open.findIndex(call => (id === undefined ? call.name === name : call.id === id));
    const [call] = at === -1 ? [] : this.#open.splice(at, 1);
    const response = asObject(answer.response) ?? {};
    const media = asObjects(answer.parts).flatMap(part => mediaOf(part) ?? []);
    return {
      type: 'tool-result',
      callId: call?.id ?? id ?? name,
      name: name || call?.name,
      input: 'json',
      parts: resultTexts([{ type: 'text', text: textOf(response, name) }, ...media]),
      isError: response.error !== undefined,
    };
  }
}

/** What a call carried is the very reasoning before it; what the client still has of that may be only its text. */
function withCarried(parts: readonly Part[], carried: readonly ReasoningPart[]): readonly Part[] {
  if (carried.length === 0) return parts;
  const at = parts.findIndex(part => part.type === 'reasoning');
  const others: Part[] = parts.filter(part => part.type !== 'reasoning');
  return others.toSpliced(Math.max(0, at), 0, ...carried);
}

const wrappers = new Set(['result', 'output', 'error', 'content']);

/** A response that only wraps a text is that text; some clients repeat the tool's name beside it. */
function textOf(response: JsonObject, tool: string): string {
  const members = Object.entries(response).filter(([name, value]) => name !== 'name' || value !== tool);
  const [name = '', value] = members[0] ?? [];
  if (members.length !== 1 || !wrappers.has(name)) return JSON.stringify(response);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

export function sealOf(part: JsonObject): Seal | undefined {
  const signature = asString(part.thoughtSignature);
  return signature === undefined ? undefined : readSignature(signature);
}

export function mediaOf(part: JsonObject): MediaPart | undefined {
  const inline = asObject(part.inlineData);
  const file = asObject(part.fileData);
  const from = inline ?? file;
  if (from === undefined) return undefined;
  const mediaType = asString(from.mimeType) ?? 'application/octet-stream';
  const source: Source =
    inline === undefined
      ? fileSource(asString(from.fileUri) ?? '', mediaType)
      : { type: 'data', mediaType, data: asString(from.data) ?? '' };
  return { type: mediaKind(mediaType), source, name: asString(from.displayName) };
}

/** Files that were uploaded to Google are known to Google alone. */
function fileSource(uri: string, mediaType: string): Source {
  const isPublic = /^https?:/.test(uri) && !/\.googleapis\.com\//.test(uri);
  return isPublic
    ? { type: 'url', url: uri, mediaType }
    : { type: 'file', id: uri, protocol: geminiProtocol };
}

function mediaKind(mediaType: string): MediaPart['type'] {
  const [kind] = mediaType.split('/', 1);
  return kind === 'image' || kind === 'audio' || kind === 'video' ? kind : 'document';
}

export function foreign(part: JsonObject): Part {
  const name = Object.keys(part).find(key => key !== 'thought' && key !== 'thoughtSignature') ?? 'part';
  return { type: 'foreign', protocol: geminiProtocol, name, value: part };
}
