import { nanoUsdPerMillion } from '@strata/shared/money/price.ts';
import { createRegistry } from '@strata/shared/plugin.ts';
import { Secret } from '@strata/shared/secret.ts';
import type * as z from 'zod';
import { commandProblem } from '../domain/command-rules.ts';
import { definitionInvalid } from '../domain/registered-server.ts';
import type { UpstreamPolicy } from '../domain/upstream.ts';
import { openApiUpstream } from './openapi/index.ts';
import { sseUpstream } from './sse/index.ts';
import { stdioUpstream } from './stdio/index.ts';
import { streamableHttpUpstream } from './streamable-http/index.ts';
import type { TransportFactory } from './transport.ts';
import type { UpstreamPluginDeps, upstreamOptions } from './upstream-plugin.ts';
import { withholding } from './withholding.ts';

/** Every way to reach a tool server. A new one is a folder and a line here. */
const registry = createRegistry([stdioUpstream, streamableHttpUpstream, sseUpstream, openApiUpstream]);

export const serverSchema = registry.schema;

/**
 * Reads a definition that an admin gives from afar. Stricter than the configuration file: a program must say which code runs.
 * @throws GatewayError invalid_request (`server_definition_invalid`)
 */
export function parseRegistered(config: unknown): object {
  const parsed = serverSchema.safeParse(config);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    // Of a name that cannot be one, what is wrong with it.
    const said = issue?.code === 'invalid_key' ? issue.issues[0]?.message : issue?.message;
    throw definitionInvalid(`${issue?.path.join('.') || 'definition'}: ${said ?? ''}`);
  }
  const problem = 'command' in parsed.data ? commandProblem(parsed.data.command as string[]) : undefined;
  if (problem !== undefined) throw definitionInvalid(problem);
  return parsed.data;
}

/** The options that every kind of server has, as the configuration holds them. */
type ServerConfig = { readonly type: string } & {
  readonly [Key in keyof typeof upstreamOptions]: z.output<(typeof upstreamOptions)[Key]>;
};

export function createTransports(config: object, deps: UpstreamPluginDeps): TransportFactory {
  // The plugin parses its options itself, from the form they have in the file.
  return withholding(registry.create(revealed(config) as { type: string }, deps));
}

export function policyOf(parsed: object): UpstreamPolicy {
  const config = parsed as ServerConfig; // parsed by `serverSchema`, which hides the options of its plugins
  return {
    sharing: config.sharing,
    hasPlainNames: config.names === 'plain',
    callTimeoutMs: config.timeout_ms,
    toolTimeoutsMs: config.tool_timeouts_ms,
    openTimeoutMs: config.open_timeout_ms,
    maxResultBytes: config.max_result_bytes,
    retryTools: config.retry_tools,
    trustsAnnotations: config.trust_annotations,
    toolLimits: Object.entries(config.tool_limits).map(([tools, { concurrent, per_minute: perMinute }]) => ({
      tools,
      concurrent,
      perMinute,
    })),
    uriSchemes: config.uri_schemes,
    toolPrices: Object.entries(config.tool_prices_usd).map(([tools, price]) => ({
      tools,
      nanoUsd: nanoUsdPerMillion(price),
      version: `config:${tools}=${price}`,
    })),
  };
}

export function isEnabled(parsed: object): boolean {
  return (parsed as ServerConfig).enabled; // as above
}

/** The configuration with its secrets as text. For handing to a plugin, and for telling whether anything changed. */
export function revealed(value: unknown): unknown {
  if (value instanceof Secret) return value.reveal();
  if (Array.isArray(value)) return value.map(revealed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revealed(item)]));
}
