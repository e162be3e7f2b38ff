import { request as httpRequest } from 'node:http';
import type { Clock } from '@strata/shared/clock.ts';
import { type ConfigSource, fixedConfig } from '@strata/shared/config/config-source.ts';
import { allScopes, type Scopes } from '@strata/shared/identity/scopes.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { createAiGateway } from '../src/app.ts';
import { type AiGatewaySection, aiGatewaySection } from '../src/config.ts';
import type { UsageRecord } from '../src/domain/usage-record.ts';

/** A gateway on a real socket with real stores in a folder of its own. */
export interface RunningGateway {
  readonly url: string;
  /** A key that may use every model. */
  readonly key: string;
  readonly deps: TestDeps;
  /** Usage records, one an attempt. */
  readonly records: UsageRecord[];
  newKey(scopes: Partial<Scopes>): Promise<string>;
  /** Resolves when that many attempts are recorded. */
  recorded(count: number): Promise<UsageRecord[]>;
  drain(): Promise<void>;
  close(): Promise<void>;
}

export interface GatewayOptions {
  /** The section as it would be written in the file. */
  readonly section?: unknown;
  readonly config?: ConfigSource<AiGatewaySection>;
  readonly shared?: Record<string, unknown>;
  /** Gateways that share it trust one another's envelopes. */
  readonly dataDir?: string;
  readonly clock?: Clock;
  /** Off: the gateway's own metrics take the records, as in production. */
  readonly keepsRecords?: boolean;
}

export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const deps = await createTestDeps({
    name: 'ai-gateway',
    ...(options.clock && { clock: options.clock }),
    ...(options.shared && { config: options.shared }),
    ...(options.dataDir !== undefined && { dataDir: options.dataDir }),
  });
  const config = options.config ?? fixedConfig(parseSection(options.section));
  const records: UsageRecord[] = [];
  const waiting: { count: number; resolve: (records: UsageRecord[]) => void }[] = [];
  const usage = {
    record(record: UsageRecord) {
      records.push(record);
      for (const each of waiting) if (records.length >= each.count) each.resolve(records);
    },
  };
  const app = await createAiGateway(config, deps, options.keepsRecords === false ? {} : { usage });
  const { url } = await app.server.start();
  const newKey = (scopes: Partial<Scopes>) =>
    deps.createKey({ tenant: 'acme', principal: 'user:ada', scopes: { ...allScopes, ...scopes } });
  let isDrained = false;
  const drain = async () => {
    if (isDrained) return;
    isDrained = true;
    await app.server.drain();
    await app.close();
  };
  return {
    url,
    key: await newKey({}),
    deps,
    records,
    newKey,
    recorded: count =>
      records.length >= count
        ? Promise.resolve(records)
        : new Promise(resolve => waiting.push({ count, resolve })),
    drain,
    async close() {
      await drain();
      await deps.close();
    },
  };
}

export function parseSection(section: unknown): AiGatewaySection {
  return aiGatewaySection.parse({
    ...(section as object),
    listen: { port: 0, drain_timeout_ms: 1000, ...listenOf(section) },
  });
}

function listenOf(section: unknown): object {
  return (section as { listen?: object } | undefined)?.listen ?? {};
}

const prices = { input: '1', output: '2', cache_read: '0.1' };

/** Aliases `chat`, `messages` with one target each, over upstreams that may be the same. */
export function sectionFor(upstreams: { openai?: string; anthropic?: string }, more: object = {}): object {
  return {
    providers: {
      ...(upstreams.openai && {
        'fake-openai': {
          type: 'openai-compatible',
          base_url: `${upstreams.openai}/v1`,
          api_key: 'sk-provider-canary',
          allow_private: true,
        },
      }),
      ...(upstreams.anthropic && {
        'fake-anthropic': {
          type: 'anthropic',
          base_url: upstreams.anthropic,
          api_key: 'sk-ant-provider-canary',
          allow_private: true,
        },
      }),
    },
    models: {
      ...(upstreams.openai && {
        chat: { targets: [{ provider: 'fake-openai', model: 'gpt-upstream', prices }] },
      }),
      ...(upstreams.anthropic && {
        messages: { targets: [{ provider: 'fake-anthropic', model: 'claude-upstream', prices }] },
      }),
    },
    ...more,
  };
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** Whether the body came to its proper end. */
  readonly isComplete: boolean;
}

/** One request by Node's own client, so that every byte of the answer can be looked at. */
export function post(
  gateway: RunningGateway,
  path: string,
  body: string | Buffer | object,
  headers: Record<string, string> = {},
): Promise<RawAnswer> {
  const bytes = Buffer.isBuffer(body)
    ? body
    : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${gateway.url}${path}`,
      {
        method: 'POST',
        agent: false,
        headers: {
          authorization: `Bearer ${gateway.key}`,
          'content-type': 'application/json',
          'content-length': String(bytes.length),
          ...headers,
        },
      },
      response => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', () => {}); // `close` tells
        response.on('close', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
            isComplete: response.complete,
          }),
        );
      },
    );
    request.on('error', reject);
    request.end(bytes);
  });
}

export const chatRequest = (more: object = {}) => ({
  model: 'chat',
  messages: [{ role: 'user', content: 'Say something.' }],
  ...more,
});

export const messagesRequest = (more: object = {}) => ({
  model: 'messages',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'Say something.' }],
  ...more,
});
