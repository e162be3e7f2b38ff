import * as z from 'zod';

/** One request to mcp-gateway. */
export interface McpCall {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  /** A list method: follow the cursor to the end, and keep only tools whose name matches one of these globs. */
  readonly wholeList?: { readonly only: readonly string[] };
  /** The virtual server that is asked; the whole gateway when undefined. */
  readonly namespace?: string;
  /** The agent that uses the tool. */
  readonly actor?: string;
}

const annotations = z.object({
  readOnlyHint: z.boolean().optional(),
  idempotentHint: z.boolean().optional(),
});

/** A tool as the gateway offers it; the members used here, and nothing else is recorded. */
export const toolSchema = z.object({
  name: z.string(),
  description: z.string().optional(),
  inputSchema: z.record(z.string(), z.unknown()).optional(),
  annotations: annotations.optional().catch(undefined),
});
export type ToolInfo = z.output<typeof toolSchema>;

export interface ToolList {
  readonly tools: readonly ToolInfo[];
}

const contentItem = z.looseObject({ type: z.string() });

export const toolResultSchema = z.looseObject({
  content: z.array(contentItem).default([]),
  isError: z.boolean().optional(),
  structuredContent: z.unknown().optional(),
});
export type ToolResult = z.output<typeof toolResultSchema>;

export function listTools(only: readonly string[]): McpCall {
  return { method: 'tools/list', params: {}, wholeList: { only } };
}

/** Whether the tool says of itself that calling it twice is as calling it once (MCP 2025-11-25, "ToolAnnotations"). */
export function isRepeatable(tool: ToolInfo | undefined): boolean {
  return tool?.annotations?.readOnlyHint === true || tool?.annotations?.idempotentHint === true;
}

/** What a model gets to read of a result. */
export function textOf(result: ToolResult): string {
  const texts = result.content.map(item => {
    if (item.type === 'text' && typeof item.text === 'string') return item.text;
    if (item.type === 'resource') return JSON.stringify(item.resource);
    return `[${item.type}]`;
  });
  if (texts.length > 0) return texts.join('\n');
  return result.structuredContent === undefined ? '' : JSON.stringify(result.structuredContent);
}
