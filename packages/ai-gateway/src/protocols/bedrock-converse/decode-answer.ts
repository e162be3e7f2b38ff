import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { AwsEventReader } from '@strata/shared/http/aws-event-stream.ts';
import type { StreamDecoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, NeutralEvent } from '../../domain/neutral-event.ts';
import type { NeutralRequest } from '../../domain/neutral-request.ts';
import type { Seal } from '../../domain/seal.ts';
import { type FinishNames, finishNamed } from '../finish-reason.ts';
import { asNumber, asObject, asObjects, asString, parseObject } from '../read-json.ts';
import { ToolNames } from '../tool-names.ts';
import { readCitation } from './citations.ts';
import { decodeBlock } from './decode-blocks.ts';
import { converseProtocol } from './decode-request.ts';
import { converseNameLength } from './encode-request.ts';
import { errorCode, readErrorCodes } from './errors.ts';
import { readConverseUsage } from './usage.ts';

export const converseStopReasons: FinishNames = {
  end_turn: 'stop',
  tool_use: 'tool-calls',
  max_tokens: 'length',
  stop_sequence: 'stop-sequence',
  guardrail_intervened: 'filtered',
  content_filtered: 'filtered',
  malformed_model_output: 'malformed-call',
  malformed_tool_use: 'malformed-call',
  model_context_window_exceeded: 'context-full',
};

/** Reads ConverseStream (spec/llm-protocols 6.5). */
export function openConverseDecoder(request: NeutralRequest): StreamDecoder {
  const frames = new AwsEventReader();
  const reader = new ConverseReader(request);
  return {
    push: chunk =>
      frames.push(chunk).flatMap(({ messageType, type, payload }) => {
        if (messageType !== 'event') return [{ type: 'error', codes: [errorCode(type)] }];
        const body = parseObject(payload);
        if (body === undefined) throw malformed();
        return reader.read(type, body);
      }),
    end() {
      frames.end();
      return reader.end();
    },
  };
}

function malformed(): GatewayError {
  return new GatewayError('upstream_failed', 'The upstream sent an event that is not valid JSON.', {
    reason: 'upstream_event_malformed',
  });
}

export function decodeConverseAnswer(body: JsonObject, request: NeutralRequest): readonly NeutralEvent[] {
  const output = asObject(asObject(body.output)?.message);
  const stopReason = asString(body.stopReason);
  if (output === undefined) {
    return stopReason === undefined ? [{ type: 'error', codes: readErrorCodes(body) }] : [];
  }
  const reader = new ConverseReader(request);
  return [
    ...reader.read('messageStart', {}),
    ...asObjects(output.content).flatMap((block, index) => reader.readBlock(index, block)),
    ...reader.read('messageStop', { stopReason }),
    ...reader.read('metadata', body),
    ...reader.end(),
  ];
}

/** The finish waits for `metadata`, which comes after it and holds the usage. */
class ConverseReader {
  readonly #names: ToolNames;
  readonly #open = new Set<number>();
  /** Pictures whose bytes are coming. */
  readonly #images = new Map<number, { readonly format: string; bytes: string }>();
  #finish: NeutralEvent | undefined;
  #usage: NeutralEvent | undefined;
  #isEnded = false;

  constructor(request: NeutralRequest) {
    this.#names = new ToolNames(request, converseNameLength);
  }

  read(type: string, body: JsonObject): NeutralEvent[] {
    const index = asNumber(body.contentBlockIndex) ?? 0;
    switch (type) {
      case 'messageStart':
        return [{ type: 'start', id: undefined, model: undefined }];
      case 'contentBlockStart':
        return this.#start(index, asObject(body.start) ?? {});
      case 'contentBlockDelta':
        return this.#delta(index, asObject(body.delta) ?? {});
      case 'contentBlockStop':
        return this.#stop(index);
      case 'messageStop': {
        const reason = finishNamed(converseStopReasons, asString(body.stopReason));
        this.#finish = { type: 'finish', reason };
        return [];
      }
      case 'metadata':
        return this.#metadata(body);
      default:
        return [];
    }
  }

  end(): NeutralEvent[] {
    if (this.#isEnded) return [];
    this.#isEnded = true;
    const usage = this.#usage === undefined ? [] : [this.#usage];
    return this.#finish === undefined ? usage : [...usage, this.#finish];
  }

  /** One block of a whole answer. */
  readBlock(index: number, block: JsonObject): NeutralEvent[] {
    const use = asObject(block.toolUse);
    const reasoning = asObject(block.reasoningContent);
    const said = asObject(reasoning?.reasoningText);
    const cited = asObject(block.citationsContent);
    const text = asString(block.text) ?? citedText(cited);
    const events: NeutralEvent[] = [];
    if (use !== undefined) {
      events.push(...this.#start(index, { toolUse: use }));
      events.push(...this.#delta(index, { toolUse: { input: JSON.stringify(use.input ?? {}) } }));
    } else if (reasoning !== undefined) {
      events.push(...this.#delta(index, { reasoningContent: { ...reasoning, ...said } }));
      if (said?.signature !== undefined)
        events.push(...this.#delta(index, { reasoningContent: { signature: said.signature } }));
    } else if (text !== undefined) {
      events.push(...this.#delta(index, { text }));
      for (const citation of asObjects(cited?.citations)) events.push(...this.#delta(index, { citation }));
    } else {
      const [part] = decodeBlock(block, new Map());
      if (part !== undefined) events.push({ type: 'block-start', index, block: { kind: 'whole', part } });
    }
    return [...events, ...this.read('contentBlockStop', { contentBlockIndex: index })];
  }

  #start(index: number, start: JsonObject): NeutralEvent[] {
    const use = asObject(start.toolUse);
    if (use !== undefined) {
      return this.#begin(index, {
        kind: 'tool-call',
        id: asString(use.toolUseId) ?? `tooluse_${index}`,
        name: this.#names.original(asString(use.name) ?? ''),
        input: 'json',
      });
    }
    const image = asObject(start.image);
    if (image !== undefined) {
      this.#images.set(index, { format: asString(image.format) ?? '', bytes: '' });
      return [];
    }
    const [name] = Object.keys(start);
    if (name === undefined) return [];
    const part = { type: 'foreign', protocol: converseProtocol, name, value: start } as const;
    return [{ type: 'block-start', index, block: { kind: 'whole', part } }];
  }

  /** Text and reasoning have no start of their own. */
  #delta(index: number, delta: JsonObject): NeutralEvent[] {
    const text = asString(delta.text);
    if (text !== undefined) return this.#text(index, { kind: 'text' }, text);
    const input = asString(asObject(delta.toolUse)?.input);
    if (input !== undefined) return input === '' ? [] : [textDelta(index, input)];
    const image = this.#images.get(index);
    if (image !== undefined) image.bytes += asString(asObject(asObject(delta.image)?.source)?.bytes) ?? '';
    const citation = asObject(delta.citation);
    if (citation !== undefined) {
      const written: NeutralEvent = {
        type: 'block-delta',
        index,
        delta: { type: 'citation', citation: readCitation(citation) },
      };
      return [...this.#begin(index, { kind: 'text' }), written];
    }
    const reasoning = asObject(delta.reasoningContent);
    return reasoning === undefined ? [] : this.#reasoning(index, reasoning);
  }

  #stop(index: number): NeutralEvent[] {
    const image = this.#images.get(index);
    this.#images.delete(index);
    if (image === undefined) return this.#open.delete(index) ? [{ type: 'block-stop', index }] : [];
    const [part] = decodeBlock(
      { image: { format: image.format, source: { bytes: image.bytes } } },
      new Map(),
    );
    if (part === undefined) return [];
    return [
      { type: 'block-start', index, block: { kind: 'whole', part } },
      { type: 'block-stop', index },
    ];
  }

  #reasoning(index: number, reasoning: JsonObject): NeutralEvent[] {
    const redacted = asString(reasoning.redactedContent);
    if (redacted !== undefined) {
      const seal: Seal = { kind: 'anthropic-redacted', data: redacted, origin: undefined };
      return this.#begin(index, { kind: 'reasoning', seal });
    }
    const text = asString(reasoning.text);
    if (text !== undefined) return this.#text(index, { kind: 'reasoning' }, text);
    const signature = asString(reasoning.signature);
    if (signature === undefined || signature === '') return [];
    const seal: Seal = { kind: 'anthropic-signature', data: signature, origin: undefined };
    return [
      ...this.#begin(index, { kind: 'reasoning' }),
      { type: 'block-delta', index, delta: { type: 'seal', seal } },
    ];
  }

  #text(index: number, block: BlockStart, text: string): NeutralEvent[] {
    const begun = this.#begin(index, block);
    return text === '' ? begun : [...begun, textDelta(index, text)];
  }

  #begin(index: number, block: BlockStart): NeutralEvent[] {
    if (this.#open.has(index)) return [];
    this.#open.add(index);
    return [{ type: 'block-start', index, block }];
  }

  #metadata(body: JsonObject): NeutralEvent[] {
    const usage = asObject(body.usage);
    const serviceTier = asString(asObject(body.serviceTier)?.type);
    if (usage !== undefined) this.#usage = { type: 'usage', report: readConverseUsage(usage), serviceTier };
    return this.#finish === undefined ? [] : this.end();
  }
}

function textDelta(index: number, text: string): NeutralEvent {
  return { type: 'block-delta', index, delta: { type: 'text', text } };
}

function citedText(cited: JsonObject | undefined): string | undefined {
  if (cited === undefined) return undefined;
  return asObjects(cited.content)
    .flatMap(each => asString(each.text) ?? [])
    .join('');
}
