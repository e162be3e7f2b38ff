import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Clock, systemClock } from '../../clock.ts';
import { anthropic } from './anthropic/anthropic.ts';
import { bedrock } from './bedrock/bedrock.ts';
import { cohere } from './cohere/cohere.ts';
import { createFaultBook, type FaultMatch } from './faults.ts';
import { gemini } from './gemini/gemini.ts';
import { control, controlBase } from './http/control.ts';
import { listen } from './http/listener.ts';
import type { Protocol } from './http/protocol.ts';
import { type MeterSnapshot, type RecordedRequest, Records } from './http/records.ts';
import { serve, type Workshop } from './http/serve.ts';
import { createIdSource } from './model/ids.ts';
import { createPromptCache } from './model/prompt-cache.ts';
import { createModelLists } from './model-lists.ts';
import { openai } from './openai/openai.ts';

export type { MeterSnapshot, RecordedRequest } from './http/records.ts';

export interface SimulatorOptions {
  /** 0, as by default, for any free port. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Time to the first token of each answer. Default 0. */
  readonly ttftMs?: number;
  /** How fast tokens follow. Default: all at once. */
  readonly tokensPerSecond?: number;
  /** The only keys that are accepted. Default: any that is not empty. */
  readonly keys?: readonly string[];
  /** Models that every API has besides its own. */
  readonly models?: readonly string[];
  /** Ids come in the same order from the same seed. */
  readonly seed?: string;
  /** How many requests are kept for `requests`. Default 1000. */
  readonly maxRequests?: number;
  /** Default: real time. */
  readonly clock?: Clock;
}

/** Model providers on a loopback socket: their wire protocols, a model that answers from the prompt, and their bills. */
export interface Simulator {
  /** `http://127.0.0.1:<port>`; the APIs are at `/openai/v1`, `/anthropic`, `/gemini`, `/bedrock` and `/cohere` below it. */
  readonly url: string;
  readonly port: number;
  /** The last requests, oldest first. */
  readonly requests: readonly RecordedRequest[];
  /** What was asked and billed so far. */
  readonly meter: MeterSnapshot;
  /** The first request for which `condition` holds, now or later. */
  until(condition: (request: RecordedRequest) => boolean, signal?: AbortSignal): Promise<RecordedRequest>;
  /** Lets requests that match fail, the next `times` of them or all. Returns the rule's id. */
  addFault(match: FaultMatch, fault: string, times?: number): number;
  clearFaults(): void;
  /** Forgets everything: requests, bills, rules, stored answers, the prompt cache. */
  reset(): void;
  /** Cuts what is open and stops listening. */
  close(): Promise<void>;
}

const protocols: readonly Protocol[] = [openai, anthropic, gemini, bedrock, cohere];
const maxBodyBytes = 64 * 1024 * 1024;
const maxStored = 1000;
const maxFailures = 100;

export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const closing = new AbortController();
  const records = new Records(options.maxRequests ?? 1000);
  const faults = createFaultBook();
  const cache = createPromptCache();
  const stored = new BoundedMap<string, unknown>(maxStored);
  const workshop: Workshop = {
    protocols,
    models: createModelLists(options.models),
    acceptedKeys: options.keys ? new Set(options.keys) : undefined,
    pace: {
      ttftMs: options.ttftMs ?? 0,
      tokensPerSecond: options.tokensPerSecond ?? Number.POSITIVE_INFINITY,
    },
    clock: options.clock ?? systemClock,
    ids: createIdSource(options.seed ?? 'strata'),
    cache,
    faults,
    records,
    stored,
  };
  const reset = () => {
    records.clear();
    faults.clear();
    cache.clear();
    stored.clear();
  };
  const failures: unknown[] = [];
  const host = options.host ?? '127.0.0.1';
  const listener = await listen({ port: options.port ?? 0, host }, (request, response) => {
    handle(workshop, { request, response, reset }).catch((error: unknown) => {
      if (failures.length < maxFailures) failures.push(error);
      response.destroy();
    });
  });
  const { port } = listener;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    requests: records.requests,
    get meter() {
      return records.snapshot();
    },
    until: (condition, signal) => records.until(condition, signal ?? closing.signal),
    addFault: faults.add,
    clearFaults: faults.clear,
    reset,
    close: async () => {
      await listener.close();
      closing.abort(new Error('The simulator is closed'));
      if (failures.length > 0) throw new AggregateError(failures, 'The simulator failed to answer');
    },
  };
}

async function handle(
  workshop: Workshop,
  incoming: { readonly request: IncomingMessage; readonly response: ServerResponse; reset(): void },
): Promise<void> {
  const { request, response } = incoming;
  const body = await readBody(request);
  if (body === 'left') return;
  if (body === 'too-large') {
    response.writeHead(413).end();
    request.destroy();
    return;
  }
  const url = request.url ?? '/';
  const protocol = workshop.protocols.find(({ base }) => url.startsWith(`${base}/`));
  if (protocol) return serve(workshop, protocol, { request, response, body });
  if (url.startsWith(`${controlBase}/`))
    return control({ request, response, body }, { ...workshop, reset: incoming.reset });
  response.writeHead(404, { 'content-type': 'text/plain' });
  response.end(
    `Nothing is here. The APIs are at ${workshop.protocols.map(({ base }) => base).join(', ')}.\n`,
  );
}

function readBody(request: IncomingMessage): Promise<Buffer | 'left' | 'too-large'> {
  return new Promise(resolve => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBodyBytes) resolve('too-large');
      else chunks.push(chunk);
    });
    request.on('end', () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
    // After `end` these change nothing any more.
    request.on('error', () => resolve('left'));
    request.on('close', () => resolve('left'));
  });
}

/** Drops what was set first when it is full. */
class BoundedMap<Key, Value> extends Map<Key, Value> {
  readonly #maxEntries: number;

  constructor(maxEntries: number) {
    super();
    this.#maxEntries = maxEntries;
  }

  override set(key: Key, value: Value): this {
    super.set(key, value);
    if (this.size > this.#maxEntries) {
      const [oldest] = this.keys();
      if (oldest !== undefined) this.delete(oldest);
    }
    return this;
  }
}
