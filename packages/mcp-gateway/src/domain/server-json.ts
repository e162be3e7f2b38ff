import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import * as z from 'zod';

const variable = z.looseObject({
  name: z.string(),
  value: z.string().optional(),
  default: z.string().optional(),
  isRequired: z.boolean().default(false),
});
const remote = z.looseObject({
  type: z.enum(['streamable-http', 'sse']),
  url: z.string(),
  headers: z.array(variable).default([]),
});

/** `server.json` of the MCP registry (schema 2025-12-11), as far as it is read. */
export const serverJsonSchema = z.looseObject({
  name: z.string().min(1),
  version: z.string().optional(),
  remotes: z.array(z.unknown()).default([]),
});

/** What an admin gives for the `{variables}` and headers that the document leaves open. */
export type ServerJsonValues = Readonly<Record<string, string>>;

export interface ImportedServer {
  /** The last part of the document's name, as a server is named here. */
  readonly name: string;
  readonly config: {
    readonly type: 'streamable-http' | 'sse';
    readonly url: string;
    readonly headers: Record<string, string>;
  };
}

/**
 * The definition of a server from its entry in a registry: its first remote address. Packages are not installed on a registry's word;
 * whoever installs one registers its program. @throws GatewayError invalid_request (`server_json_invalid`)
 */
export function fromServerJson(document: unknown, values: ServerJsonValues): ImportedServer {
  const parsed = serverJsonSchema.safeParse(document);
  if (!parsed.success) throw invalid('is not a `server.json`');
  const found = parsed.data.remotes.map(each => remote.safeParse(each)).find(each => each.success)?.data;
  if (!found)
    throw invalid('has no remote address that is spoken here; install its package and register the program');
  const headers = found.headers.flatMap(header => {
    const text = values[header.name] ?? header.value ?? header.default;
    if (text !== undefined) return [[header.name.toLowerCase(), fill(text, values)] as const];
    if (header.isRequired) throw invalid(`needs a value for the header '${header.name}'`);
    return [];
  });
  return {
    name: nameOf(parsed.data.name),
    config: { type: found.type, url: fill(found.url, values), headers: Object.fromEntries(headers) },
  };
}

function fill(text: string, values: ServerJsonValues): string {
  return text.replace(/\{([A-Za-z0-9_.-]+)\}/g, (_match, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) throw invalid(`needs a value for '{${name}}'`);
    return value;
  });
}

/** `io.github.user/weather-server` is `weather-server`. */
function nameOf(name: string): string {
  const last = name.split('/').at(-1) ?? name;
  return last
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 32)
    .replace(/-$/, '');
}

function invalid(what: string): GatewayError {
  return new GatewayError('invalid_request', `The document ${what}.`, { reason: 'server_json_invalid' });
}
