import type { JsonObject } from '../../domain/json-object.ts';
import type { MediaPart, Part, Source } from '../../domain/neutral-request.ts';
import { unload, unloadSeal } from '../carrier.ts';
import { asObject, asObjects, asString } from '../read-json.ts';
import { resultTexts } from '../request-parts.ts';
import { mediaTypeOf } from './media-formats.ts';

const protocol = 'bedrock-converse';

/** One content block; a cache point is none. */
export function decodeBlock(block: JsonObject, names: ReadonlyMap<string, string>): Part[] {
  const text = asString(block.text);
  if (text !== undefined) return [{ type: 'text', text }];
  const use = asObject(block.toolUse);
  if (use !== undefined) return decodeUse(use);
  const result = asObject(block.toolResult);
  if (result !== undefined) return [decodeResult(result, names)];
  const reasoning = asObject(block.reasoningContent);
  if (reasoning !== undefined) return decodeReasoning(reasoning);
  const cited = asObject(block.citationsContent);
  if (cited !== undefined) {
    const texts = asObjects(cited.content).flatMap(each => asString(each.text) ?? []);
    return [{ type: 'text', text: texts.join('') }];
  }
  for (const kind of ['image', 'document', 'video', 'audio'] as const) {
    const media = asObject(block[kind]);
    const source = media && decodeSource(media, kind);
    if (source !== undefined) return [mediaPart(kind, media ?? {}, source)];
  }
  return [foreignPart(block)];
}

/** Of what is guarded, of search results and of documents that are made of parts, the text is the same for every model. */
function foreignPart(block: JsonObject): Part {
  const name = Object.keys(block)[0] ?? 'block';
  return { type: 'foreign', protocol, name, value: block, text: textIn(block) };
}

function textIn(block: JsonObject): string | undefined {
  const guarded = asString(asObject(asObject(block.guardContent)?.text)?.text);
  if (guarded !== undefined) return guarded;
  const found = asObject(block.searchResult);
  const content = found?.content ?? asObject(asObject(block.document)?.source)?.content;
  const texts = asObjects(content).flatMap(each => asString(each.text) ?? []);
  const heads = [found?.title, found?.source].filter(each => typeof each === 'string');
  return texts.length === 0 ? undefined : [...heads, ...texts].join('\n');
}

function decodeUse(use: JsonObject): Part[] {
  const { id, carried } = unload(asString(use.toolUseId) ?? '');
  return [
    ...carried.reasoning,
    {
      type: 'tool-call',
      id,
      name: asString(use.name) ?? '',
      input: 'json',
      arguments: JSON.stringify(asObject(use.input) ?? {}),
      seal: carried.seal,
    },
  ];
}

function decodeResult(result: JsonObject, names: ReadonlyMap<string, string>): Part {
  const callId = unload(asString(result.toolUseId) ?? '').id;
  const parts = asObjects(result.content).flatMap(block =>
    block.json === undefined
      ? decodeBlock(block, names)
      : [{ type: 'text', text: JSON.stringify(block.json) } as const],
  );
  return {
    type: 'tool-result',
    callId,
    name: names.get(callId),
    input: 'json',
    parts: resultTexts(parts),
    isError: result.status === 'error',
  };
}

function decodeReasoning(reasoning: JsonObject): Part[] {
  const redacted = asString(reasoning.redactedContent);
  if (redacted !== undefined) {
    const seal = readRedacted(redacted);
    return seal === undefined ? [] : [{ type: 'reasoning', text: '', seal }];
  }
  const said = asObject(reasoning.reasoningText);
  const seal = unloadSeal(asString(said?.signature) ?? '', 'anthropic-signature');
  return [{ type: 'reasoning', text: asString(said?.text) ?? '', seal }];
}

/** `redactedContent` is bytes in base64: of the vendor, or of a carrier. */
function readRedacted(text: string) {
  const inner = Buffer.from(text, 'base64').toString('latin1');
  const carried = unload(inner).carried.seal;
  return carried ?? unloadSeal(text, 'anthropic-redacted');
}

function mediaPart(type: MediaPart['type'], media: JsonObject, source: Source): MediaPart {
  return {
    type,
    source,
    name: asString(media.name),
    context: asString(media.context),
    wantsCitations: asObject(media.citations)?.enabled === true ? true : undefined,
  };
}

function decodeSource(media: JsonObject, kind: MediaPart['type']): Source | undefined {
  const source = asObject(media.source);
  const data = asString(source?.bytes);
  if (data !== undefined) {
    return { type: 'data', mediaType: mediaTypeOf(kind, asString(media.format) ?? ''), data };
  }
  const text = asString(source?.text);
  if (text !== undefined) return { type: 'text', text };
  const uri = asString(asObject(source?.s3Location)?.uri);
  return uri === undefined ? undefined : { type: 'file', id: uri, protocol };
}
