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
 * What the servers together can do, minus what the gateway does not carry (tasks). A capability is claimed when at
 * least one server has it, and `listChanged` or `subscribe` only when at least one server sends it.
 */
export function unionCapabilities(servers: readonly JsonObject[]): JsonObject {
  const union: Record<string, JsonObject> = {};
  for (const name of [
    'tools',
    'prompts',
    'resources',
    'logging',
    'completions',
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

/** What a server may be told about a client: everything it really has, minus what the gateway does not carry. */
export function clientCapabilitiesFor(capabilities: JsonObject): JsonObject {
  const { tasks: _tasks, ...carried } = capabilities;
  return carried;
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
