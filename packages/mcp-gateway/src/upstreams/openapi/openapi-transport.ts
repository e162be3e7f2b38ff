import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer } from '@strata/shared/http/dialer.ts';
import type { Withheld } from '@strata/shared/http/withhold-credentials.ts';
import { InFlightMap } from '@strata/shared/in-flight.ts';
import { buildOpenapiRequest } from '@strata/shared/openapi/openapi-request.ts';
import { Stopper } from '@strata/shared/resilience/stop-signal.ts';
import { isObject, type JsonObject } from '../../domain/capabilities.ts';
import { newestLegacyVersion } from '../../domain/protocol-versions.ts';
import { readBody } from '../result-size.ts';
import type { Transport, TransportEvents } from '../transport.ts';
import { givenUp } from '../transport.ts';
import type { ApiTool } from './api-tools.ts';
import { withOperatorsQuery } from './operators-query.ts';
import { renderResponse } from './render-response.ts';

/** An API that is ready to be called. */
export interface OpenApi {
  readonly info: { readonly name: string; readonly version: string };
  readonly tools: ReadonlyMap<string, ApiTool>;
  /** Operations that cannot be tools. */
  readonly leftOut: readonly string[];
}

export interface OpenApiTransportOptions {
  readonly server: string;
  readonly load: () => Promise<OpenApi>;
  /** Appended to every request, such as an API key. */
  readonly query: Readonly<Record<string, string>>;
  /** Of answers before they become content, which may be base64. */
  readonly withheld: Withheld;
  readonly maxResultBytes: number;
  readonly dialer: Dialer;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly name?: unknown; readonly arguments?: unknown };
}

const untimed = { headersMs: 0, bodyMs: 0 } as const;

/** A tool server made of an OpenAPI document: it answers the handshake and the list itself, and a call is one HTTP request. */
export class OpenApiTransport implements Transport {
  readonly #options: OpenApiTransportOptions;
  readonly #events: TransportEvents;
  readonly #inFlight = new InFlightMap<number, Stopper>();
  #api: OpenApi | undefined;

  constructor(options: OpenApiTransportOptions, events: TransportEvents) {
    this.#options = options;
    this.#events = events;
  }

  async start(): Promise<void> {
    this.#api = await this.#options.load();
  }

  send(bytes: Buffer, request: number | undefined): void {
    if (request === undefined) return; // notifications say nothing to an API
    this.#answer(JSON.parse(bytes.toString()) as Message, request).then(
      answer => this.#reply(request, answer),
      (error: unknown) => this.#events.onRequestFailed(request, GatewayError.from(error)),
    );
  }

  abandon(request: number): void {
    this.#inFlight.get(request)?.stop(givenUp());
  }

  opened(): void {}

  async close(): Promise<void> {
    for (const stopper of this.#inFlight.values()) stopper.stop(givenUp());
  }

  #reply(request: number, answer: JsonObject): void {
    const text = JSON.stringify({ jsonrpc: '2.0', id: request, ...answer });
    this.#events.onMessage(Buffer.from(text), request);
  }

  async #answer({ method, params }: Message, request: number): Promise<JsonObject> {
    const api = this.#api;
    switch (method) {
      case 'initialize':
        return {
          result: {
            protocolVersion: newestLegacyVersion,
            capabilities: { tools: {} },
            serverInfo: api?.info,
          },
        };
      case 'ping':
        return { result: {} };
      case 'tools/list':
        return { result: { tools: listed(api) } };
      case 'tools/call': {
        const tool = typeof params?.name === 'string' ? api?.tools.get(params.name) : undefined;
        if (!tool) return { error: { code: -32602, message: 'There is no such tool.' } };
        return { result: await this.#call(tool, params?.arguments, request) };
      }
      default:
        return { error: { code: -32601, message: 'An API has tools only.' } };
    }
  }

  async #call(tool: ApiTool, args: unknown, request: number): Promise<JsonObject> {
    const stopper = new Stopper();
    this.#inFlight.set(request, stopper);
    try {
      const { operation, operators, remote } = tool;
      const given = Object.entries(isObject(args) ? args : {}).filter(([name]) => !operators.has(name));
      const built = buildOpenapiRequest(operation, Object.fromEntries(given));
      const { server, dialer, maxResultBytes, query, withheld } = this.#options;
      const path = remote.path.replace(/\/$/, '') + built.path;
      const response = await dialer.request(remote.origin, {
        method: built.method,
        path: withOperatorsQuery(path, query),
        headers: { accept: 'application/json, */*;q=0.5', ...built.headers, ...remote.headers },
        body: built.body,
        signal: stopper,
        timeouts: untimed,
      });
      const body = await readBody(response, maxResultBytes, server);
      return renderResponse({
        status: response.status,
        contentType: headerText(response.headers['content-type']),
        body: withheld.inBytes(body),
        url: new URL(path, remote.origin.url).href,
      });
    } catch (error) {
      // Wrong arguments are the tool's error, which the model can read and repair (2025-11-25, "Error Handling").
      if (!(error instanceof GatewayError) || error.kind !== 'invalid_request') throw error;
      return { content: [{ type: 'text', text: error.message }], isError: true };
    } finally {
      this.#inFlight.take(request);
    }
  }
}

/** A name alone is no tool: lists are joined without it, and tell that it is refused. */
function listed(api: OpenApi | undefined): JsonObject[] {
  if (api === undefined) return [];
  return [...[...api.tools.values()].map(({ shown }) => shown), ...api.leftOut.map(name => ({ name }))];
}

function headerText(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? '';
}
