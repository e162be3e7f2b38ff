export type Json = Record<string, unknown>;

/**
 * One thing more that a client can say. `canary` stands in it once and must be in what the upstream is sent; without one, what the upstream is
 * sent must be another than before. Or else the addition must be reported.
 */
export interface Addition {
  readonly name: string;
  add(body: Json): Json;
  readonly canary?: string;
  /** The request without it, where that is not the least one. */
  without?(body: Json): Json;
}

export const canary = 'canary7f3a';
export const schema = { type: 'object', properties: { city: { type: 'string' } } };

/** Members at the top. */
export function member(name: string, value: unknown): Addition {
  return { name, add: body => ({ ...body, [name]: value }), ...canaryIn(value) };
}

export function canaryIn(value: unknown): { canary?: string } {
  return JSON.stringify(value).includes(canary) ? { canary } : {};
}

/** Members of an object at the top. */
export function inside(object: string, name: string, value: unknown): Addition {
  return {
    name: `${object}.${name}`,
    add: body => ({ ...body, [object]: { ...(body[object] as Json | undefined), [name]: value } }),
    ...canaryIn(value),
  };
}

/** Elements behind those of a list at the top. */
export function behind(list: string, name: string, ...values: unknown[]): Addition {
  return {
    name: `${list}: ${name}`,
    add: body => ({ ...body, [list]: [...((body[list] ?? []) as unknown[]), ...values] }),
    ...canaryIn(values),
  };
}

/** A tool with an option, beside the same tool without. */
export function optioned(name: string, tool: (more: object) => object, option: object): Addition {
  const withTool = (body: Json, each: object) => ({ ...body, tools: [...(body.tools as unknown[]), each] });
  return {
    name: `tools: ${name}`,
    add: body => withTool(body, tool(option)),
    without: body => withTool(body, tool({})),
    ...canaryIn(option),
  };
}
