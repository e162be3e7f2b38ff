import { type Era, eraOf } from './protocol-versions.ts';

/** The extension with tasks of the revision 2026-07-28 (SEP-2663). */
const tasksExtension = 'io.modelcontextprotocol/tasks';

/** JSON objects of the `initialize` handshake, read leniently. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** What a tool server said about itself. */
export interface ServerHello {
  readonly protocolVersion: string;
  readonly capabilities: JsonObject;
  readonly serverInfo: JsonObject;
  readonly instructions: string | undefined;
}

/** What a client said about itself. */
export interface ClientHello {
  readonly protocolVersion: string;
  readonly capabilities: JsonObject;
  readonly clientInfo: JsonObject;
}

const maxInstructionsLength = 16 * 1024;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * What the servers together can do. A capability is claimed when at least one server has it, and `listChanged` or `subscribe` only when
 * at least one server sends it.
 */
export function unionCapabilities(servers: readonly JsonObject[]): JsonObject {
  const union: Record<string, JsonObject> = {};
  for (const name of [
    'tools',
    'prompts',
    'resources',
    'logging',
    'completions',
    'tasks',
    'extensions',
    'experimental',
  ]) {
    const having = servers.map(server => server[name]).filter(isObject);
    if (having.length > 0) union[name] = mergeFlags(having);
  }
  return union;
}

function mergeFlags(objects: readonly JsonObject[]): JsonObject {
  const merged: Record<string, unknown> = Object.create(null);
  for (const object of objects) {
    for (const [key, value] of Object.entries(object)) merged[key] = merged[key] === true ? true : value;
  }
  return merged;
}

/**
 * What a server's capabilities are to a client of this era. Tasks are other messages in each era: they are carried where both ends speak the
 * same one, and nowhere claimed else.
 */
export function serverCapabilitiesFor(
  { capabilities, protocolVersion }: ServerHello,
  era: Era,
  isShared: boolean,
): JsonObject {
  const { tasks, extensions, ...others } = capabilities;
  const isSameEra = eraOf(protocolVersion) === era;
  const isCarried = tasks !== undefined && era === 'legacy' && isSameEra && !isShared;
  return { ...others, ...(isCarried && { tasks }), ...carriedExtensions(extensions, era, isSameEra) };
}

/**
 * What a server of this era may be told about a client: everything it really has, minus what the gateway does not carry: questions as tasks,
 * and the extension with tasks where one of the ends has sessions.
 */
export function clientCapabilitiesFor({ capabilities, protocolVersion }: ClientHello, era: Era): JsonObject {
  const { tasks: _tasks, extensions, ...others } = capabilities;
  return { ...others, ...carriedExtensions(extensions, era, eraOf(protocolVersion) === era) };
}

/** Whether any messages about tasks mean something to the server, of what it is for a client. */
export function hasTasks({ tasks, extensions }: JsonObject): boolean {
  return tasks !== undefined || (isObject(extensions) && extensions[tasksExtension] !== undefined);
}

function carriedExtensions(extensions: unknown, era: Era, isSameEra: boolean): JsonObject {
  if (!isObject(extensions)) return {};
  const { [tasksExtension]: tasks, ...others } = extensions;
  const isCarried = tasks !== undefined && era === 'modern' && isSameEra;
  return { extensions: isCarried ? extensions : others };
}

/** The servers' instructions under a heading each, cut at 16 Ki characters. */
export function joinInstructions(
  parts: readonly { readonly server: string; readonly instructions: string | undefined }[],
): string | undefined {
  const sections = parts
    .filter(part => part.instructions !== undefined && part.instructions !== '')
    .map(part => `# ${part.server}\n\n${part.instructions}`);
  if (sections.length === 0) return undefined;
  return sections.join('\n\n').slice(0, maxInstructionsLength);
}
