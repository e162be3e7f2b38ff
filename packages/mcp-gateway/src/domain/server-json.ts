import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import * as z from 'zod';
import { isObject } from './capabilities.ts';

/** An input of `server.json`: fixed, with a default, or to be given. */
const input = z.looseObject({
  value: z.string().optional(),
  default: z.string().optional(),
  choices: z.array(z.string()).optional(),
  isRequired: z.boolean().catch(false),
});
const inputs = z.record(z.string(), input).catch({});
const remote = z.looseObject({
  type: z.enum(['streamable-http', 'sse']),
  url: z.string(),
  variables: inputs,
  headers: z.array(input.extend({ name: z.string().min(1), variables: inputs })).default([]),
});
type Input = z.output<typeof input>;

/** `server.json` of the MCP registry (schema 2025-12-11 and those before), as far as it is read. */
export const serverJsonSchema = z.looseObject({
  name: z.string().min(1),
  version: z.string().optional(),
  remotes: z.array(z.unknown()).default([]),
  packages: z.array(z.unknown()).default([]),
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
  const found = parsed.data.remotes
    .map(each => remote.safeParse(asToday(each)))
    .find(each => each.success)?.data;
  if (!found) throw invalid(noRemote(parsed.data.packages));
  const headers = found.headers.flatMap(header => {
    const text = inputOf(header.name, header, values);
    if (text !== undefined)
      return [[header.name.toLowerCase(), fill(text, header.variables, values)] as const];
    if (header.isRequired) throw invalid(`needs a value for the header '${header.name}'`);
    return [];
  });
  return {
    name: nameOf(parsed.data.name),
    config: {
      type: found.type,
      url: fill(found.url, found.variables, values),
      headers: Object.fromEntries(headers),
    },
  };
}

/** The schemas before 2025-09-16 called the type `transport_type`, and a header's `is_required` likewise. */
function asToday(given: unknown): unknown {
  if (!isObject(given)) return given;
  const headers = Array.isArray(given.headers)
    ? given.headers.map((each: unknown) =>
        isObject(each) ? { isRequired: each.is_required, ...each } : each,
      )
    : given.headers;
  return { ...given, type: given.type ?? given.transport_type, ...(headers !== undefined && { headers }) };
}

/** What an admin gives goes before what the document says; of a choice it has to be one. */
function inputOf(name: string, { value, default: fallback, choices }: Input, values: ServerJsonValues) {
  const given = Object.hasOwn(values, name) ? values[name] : undefined;
  if (given !== undefined && choices !== undefined && !choices.includes(given))
    throw invalid(`takes for '${name}' one of: ${choices.join(', ')}`);
  return given ?? value ?? fallback;
}

function fill(text: string, variables: Readonly<Record<string, Input>>, values: ServerJsonValues): string {
  return text.replace(/\{([A-Za-z0-9_.-]+)\}/g, (_match, name: string) => {
    const known = Object.hasOwn(variables, name) ? variables[name] : undefined;
    const value = inputOf(name, known ?? { isRequired: true }, values);
    if (value === undefined) throw invalid(`needs a value for '{${name}}'`);
    return value;
  });
}

/** Packages are code: which one runs here is for whoever installs it to say. */
function noRemote(packages: readonly unknown[]): string {
  const named = packages.filter(isObject).flatMap(({ registryType, registry_type, identifier, name }) => {
    const of = [registryType ?? registry_type, identifier ?? name].filter(each => typeof each === 'string');
    return of.length === 2 ? [of.join(' ')] : [];
  });
  if (packages.length === 0) return 'has no remote address that is spoken here';
  const which = named.length > 0 ? ` (${named.join(', ').slice(0, 200)})` : '';
  return `has packages alone${which}; install one and register its program with \`type: stdio\``;
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
