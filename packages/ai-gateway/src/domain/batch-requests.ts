import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { type Span, stringAt } from '@strata/shared/json/json-text.ts';
import { JsonScanError } from '@strata/shared/json/scan-problem.ts';
import { type Edit, splice } from '@strata/shared/json/splice.ts';
import type { PriceList } from '@strata/shared/money/price.ts';
import { worstCaseCost } from '@strata/shared/money/worst-case.ts';
import type { ScannedObject } from './json-scan.ts';
import { elementsOf, lastMember, scanObject } from './json-scan.ts';
import { setMember } from './json-splice.ts';
import { tokenBounds } from './spending.ts';

/** Where the requests of a batch for one alias go. */
export interface BatchTarget {
  readonly alias: string;
  readonly model: string;
  readonly prices: PriceList | undefined;
}

/** The requests of a batch, as the provider takes them. */
export interface BatchInput {
  readonly bytes: Buffer;
  readonly targets: readonly BatchTarget[];
  /** Of all of them together; undefined: not known. */
  readonly worstCaseNanoUsd: bigint | undefined;
  readonly count: number;
  /** The only one for which the worst case holds, where it does not for others. */
  readonly endpoint: string | undefined;
}

/** Finds where an alias goes. @throws GatewayError when the caller has no such model, or the batch cannot be done there. */
export type FindBatchTarget = (alias: string) => BatchTarget;

/** Endpoints whose answers are made of no tokens. */
const tokenless = new Set(['/v1/embeddings', '/v1/moderations']);

const maxRequests = 100_000;
const batchTier = 'batch';
const newLine = 0x0a;

/** Of one line, which is one request. */
const maxLineBytes = 32 * 1024 * 1024;

/**
 * A file of requests, a JSON object a line, while it comes: in each the alias in `body.model` becomes the provider's model, every other byte stays.
 * All lines must ask for one model, which is the provider's own rule. Those of an endpoint whose answers are made of no tokens (`/v1/embeddings`,
 * `/v1/moderations`) stand by themselves, because less is set aside for them: the batch is then begun for that endpoint alone.
 */
export class BatchLines {
  readonly #sum: BatchSum;
  #rest: Buffer[] = [];
  #restBytes = 0;
  #line = 0;

  constructor(find: FindBatchTarget) {
    this.#sum = new BatchSum(find);
  }

  /** The lines that are complete. @throws GatewayError invalid_request (`batch_input_invalid`). */
  push(chunk: Buffer): Buffer[] {
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newLine); end !== -1; end = chunk.indexOf(newLine, start)) {
      lines.push(this.#rewrite(Buffer.concat([...this.#rest, chunk.subarray(start, end + 1)])));
      this.#rest = [];
      this.#restBytes = 0;
      start = end + 1;
    }
    this.#rest.push(Buffer.from(chunk.subarray(start)));
    this.#restBytes += chunk.length - start;
    if (this.#restBytes > maxLineBytes) throw invalid(`line ${this.#line + 1} is too long.`);
    return lines;
  }

  /** The last line as `bytes`, and what was found in all. @throws GatewayError invalid_request (`batch_input_invalid`). */
  end(): BatchInput {
    const last = this.#rewrite(Buffer.concat(this.#rest));
    if (this.#sum.targets.length > 1) throw invalid('All lines of a batch must ask for one model.');
    return this.#sum.close(last);
  }

  #rewrite(text: Buffer): Buffer {
    const where = `line ${++this.#line}`;
    if (isBlank(text, 0, text.length)) return text;
    const line = scanLine(text, where);
    const body = requireMember(line, 'body', where);
    return splice(text, this.#sum.add(text, body, { where, url: stringAt(text, lastMember(line, 'url')) }));
  }
}

/**
 * A request that holds the requests of a batch: `requests[].params` of Anthropic's API, each with a model of its own.
 *
 * @throws GatewayError invalid_request (`batch_input_invalid`).
 */
export function readBatchBody(bytes: Buffer, find: FindBatchTarget): BatchInput {
  const where = 'The body';
  const list = requireMember(scanLine(bytes, where), 'requests', where);
  const edits: Edit[] = [];
  const sum = new BatchSum(find);
  const elements = elementsOf(bytes, list);
  if (elements === undefined) throw invalid('`requests` is no list.');
  elements.forEach((element, index) => {
    const at = `requests[${index}]`;
    const text = bytes.subarray(element.start, element.end);
    const params = requireMember(scanLine(text, at), 'params', at);
    edits.push(...shifted(sum.add(text, params, { where: at, url: undefined }), element.start));
  });
  return sum.close(splice(bytes, edits));
}

class BatchSum {
  readonly #find: FindBatchTarget;
  readonly #targets = new Map<string, BatchTarget>();
  #worst: bigint | undefined = 0n;
  #count = 0;
  readonly #endpoints = new Set<string | undefined>();

  constructor(find: FindBatchTarget) {
    this.#find = find;
  }

  get targets(): readonly BatchTarget[] {
    return [...this.#targets.values()];
  }

  /** The edits that put the provider's model in the place of the alias, inside `text`. */
  add(text: Buffer, span: Span, { where, url }: { where: string; url: string | undefined }): Edit[] {
    if (++this.#count > maxRequests) throw invalid(`It has more than ${maxRequests} requests.`);
    const body = text.subarray(span.start, span.end);
    const scanned = scanLine(body, where);
    const alias = stringAt(body, lastMember(scanned, 'model'));
    if (alias === undefined) throw invalid(`${where} names no model.`);
    const target = this.#targets.get(alias) ?? this.#find(alias);
    this.#targets.set(alias, target);
    const writesNoTokens = url !== undefined && tokenless.has(url);
    this.#endpoints.add(writesNoTokens ? url : undefined);
    if (this.#endpoints.size > 1) throw invalid('All lines of a batch must have one `url`.');
    const request = { body, scanned, model: alias, isStream: false, wantsStreamUsage: false, writesNoTokens };
    const cost = worstCaseCost(target.prices, tokenBounds(request, target.prices), batchTier);
    this.#worst = cost === undefined || this.#worst === undefined ? undefined : this.#worst + cost;
    return shifted(setMember(scanned, 'model', JSON.stringify(target.model)), span.start);
  }

  close(bytes: Buffer): BatchInput {
    if (this.#count === 0) throw invalid('It has no requests.');
    const [endpoint] = this.#endpoints;
    return { bytes, targets: this.targets, worstCaseNanoUsd: this.#worst, count: this.#count, endpoint };
  }
}

function requireMember(scanned: ScannedObject, name: string, where: string): Span {
  const span = lastMember(scanned, name);
  if (span === undefined) throw invalid(`${where} has no \`${name}\`.`);
  return span;
}

function scanLine(bytes: Buffer, where: string): ScannedObject {
  try {
    return scanObject(bytes);
  } catch (cause) {
    if (!(cause instanceof JsonScanError)) throw cause;
    throw invalid(`${where} is no JSON object.`, cause);
  }
}

function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d && byte !== newLine) return false;
  }
  return true;
}

function shifted(edits: readonly Edit[], by: number): Edit[] {
  return edits.map(edit => ({ ...edit, start: edit.start + by, end: edit.end + by }));
}

function invalid(what: string, cause?: unknown): GatewayError {
  return new GatewayError('invalid_request', `The requests of the batch cannot be read. ${what}`, {
    reason: 'batch_input_invalid',
    cause,
  });
}
