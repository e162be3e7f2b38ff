import { eventsOf, messagesOf, until } from './raw-client.ts';
import type { TestGateway } from './start-gateway.ts';

/** A client of the revision 2026-07-28 that sends what it is told to and shows what it gets. */
export interface ModernClient {
  send(id: string, method: string, params?: Params, options?: SendOptions): Promise<Response>;
  ask(id: string, method: string, params?: Params, options?: SendOptions): Promise<Answer>;
  call(name: string, args?: object, more?: Params, options?: SendOptions): Promise<Answer>;
  /** Opens a `listen` stream; resolves with its acknowledgement. */
  listen(notifications: object): Promise<Listening>;
}

export type Params = Readonly<Record<string, unknown>>;

export interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly meta?: Params;
  readonly signal?: AbortSignal;
  /** The body as it is sent, made of the one that would be. */
  readonly rewrite?: (body: string) => string;
  readonly gateway?: TestGateway;
}

export interface Answer {
  readonly status: number;
  /** Every message of the answer as text; the last is the answer itself. */
  readonly messages: readonly string[];
  readonly result: Record<string, unknown> & { content?: { text?: string }[] };
  readonly error: { code: number; message: string; data?: Record<string, unknown> } | undefined;
}

export interface Listening {
  readonly acknowledged: Record<string, unknown>;
  readonly messages: { method?: string; params?: Record<string, unknown>; result?: unknown }[];
  /** Waits for a notification of this method. */
  next(method: string): Promise<Record<string, unknown>>;
  close(): void;
}

const prefix = 'io.modelcontextprotocol/';

export function createModernClient(
  gateway: TestGateway,
  options: { readonly key?: string; readonly capabilities?: object; readonly path?: string } = {},
): ModernClient {
  const send: ModernClient['send'] = (id, method, params = {}, given = {}) => {
    const meta = {
      [`${prefix}protocolVersion`]: '2026-07-28',
      [`${prefix}clientCapabilities`]: options.capabilities ?? {},
      [`${prefix}clientInfo`]: { name: 'modern', version: '1' },
      ...given.meta,
    };
    const body = `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":${JSON.stringify({ ...params, _meta: meta })}}`;
    const name = params.name ?? params.uri;
    const { url } = given.gateway ?? gateway;
    return fetch(options.path === undefined ? url : new URL(options.path, url), {
      method: 'POST',
      headers: {
        authorization: `Bearer ${options.key ?? gateway.userKey}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        ...(typeof name === 'string' && { 'mcp-name': name }),
        ...given.headers,
      },
      body: given.rewrite ? given.rewrite(body) : body,
      ...(given.signal && { signal: given.signal }),
    });
  };
  const ask: ModernClient['ask'] = async (...args) => {
    const response = await send(...args);
    const messages = await messagesOf(response);
    const last = JSON.parse(messages.at(-1) ?? '{}') as Pick<Answer, 'result' | 'error'>;
    return { status: response.status, messages, result: last.result ?? {}, error: last.error };
  };
  return {
    send,
    ask,
    call: (name, args = {}, more = {}, given = {}) =>
      ask('1', 'tools/call', { name, arguments: args, ...more }, given),
    async listen(notifications) {
      const controller = new AbortController();
      const response = await send(
        '"listen"',
        'subscriptions/listen',
        { notifications },
        { signal: controller.signal },
      );
      const messages: Listening['messages'] = [];
      const reading = (async () => {
        for await (const { data } of eventsOf(response)) if (data !== '') messages.push(JSON.parse(data));
      })();
      reading.catch(() => {}); // ends when the test closes it
      await until(() => messages.length > 0, 'the acknowledgement');
      return {
        acknowledged: messages[0]?.params?.notifications as Record<string, unknown>,
        messages,
        async next(method) {
          await until(() => messages.some(message => message.method === method), method, 10_000);
          return messages.find(message => message.method === method)?.params ?? {};
        },
        close: () => controller.abort(),
      };
    },
  };
}

export const textOf = (answer: Answer): string => answer.result.content?.[0]?.text ?? '';
