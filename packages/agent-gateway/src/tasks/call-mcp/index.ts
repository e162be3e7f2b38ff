import * as z from 'zod';
import {
  isRepeatable,
  listTools,
  type McpCall,
  type ToolList,
  textOf,
  toolResultSchema,
} from '../../agents/tools.ts';
import { runError } from '../../domain/run-error.ts';
import { defineTask, type InDoubtAnswer } from '../../domain/task-type.ts';
import type { Duration, TaskNode, Template } from '../../domain/workflow.ts';
import { checkShape } from '../check-shape.ts';
import { planSingleCall } from '../single-call.ts';

const methods = [
  'tools/list',
  'tools/call',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/read',
  'resources/templates/list',
] as const;

/** Hosts that stand for the gateway in a definition; the real address is the operator's. */
const gatewayHosts = /^https?:\/\/mcp-gateway(\.local)?(:\d+)?\/mcp\/?$/;

const onlyHttp = 'Only `http` is possible: tool servers, stdio ones too, are reached through mcp-gateway';

const onlyGateway =
  'Tool servers are reached through mcp-gateway only: write https://mcp-gateway.local/mcp, and register the server there';
const endpoint = z.string().regex(gatewayHosts, onlyGateway);

const withSchema = z.strictObject({
  protocolVersion: z.string().optional(),
  method: z.enum(methods),
  parameters: z.union([z.record(z.string(), z.unknown()), z.string()]).optional(),
  transport: z
    .strictObject(
      {
        stdio: z.never(onlyHttp).optional(),
        http: z.strictObject({
          endpoint: z.union(
            [endpoint, z.strictObject({ uri: endpoint })],
            `${onlyGateway}. Credentials of a server belong there too`,
          ),
          headers: z
            .never('Headers for a tool server are set where it is registered, in mcp-gateway')
            .optional(),
        }),
        options: z.never('Options of a transport are set in mcp-gateway').optional(),
      },
      onlyHttp,
    )
    .optional(),
  timeout: z.unknown().optional(),
  client: z.strictObject({ name: z.string(), version: z.string() }).optional(),
});

interface Options {
  readonly method: (typeof methods)[number];
  readonly parameters: Template | undefined;
  readonly timeout: Duration | undefined;
}

/** `call: mcp`: one request to a tool server, by way of mcp-gateway. Its output is the result of the request. */
export const callMcpTask = defineTask<Options | undefined, McpCall>({
  type: 'call:mcp',
  keys: ['call', 'with'],
  compile(definition, context) {
    const pointer = `${context.path}/with`;
    const shape = checkShape(withSchema, { value: definition.with, pointer }, context);
    if (shape === undefined) return undefined;
    const { method, parameters, timeout } = shape;
    if (method === 'tools/call' && parameters === undefined)
      context.mistake(`${pointer}/parameters`, 'tools/call needs `parameters` with the `name` of the tool.');
    return {
      method,
      parameters:
        parameters === undefined ? undefined : context.template(parameters, `${pointer}/parameters`),
      timeout: timeout === undefined ? undefined : context.duration(timeout, `${pointer}/timeout`),
    };
  },
  timeoutOf: options => options?.timeout,
  async prepare(options, scope) {
    if (options === undefined) throw new Error('The task was not compiled');
    const { method, parameters } = options;
    const params = parameters === undefined ? {} : await scope.evaluate(parameters);
    return { method, params: typeof params === 'object' && params !== null ? { ...params } : {} };
  },
  plan({ node, arguments: request, calls }) {
    const { method, params } = request;
    const name = typeof params.name === 'string' ? params.name : undefined;
    const call = {
      id: 'request',
      effect: 'mcp',
      label: name === undefined ? method : `${method} ${name}`,
      request,
      inDoubt: inDoubtOf(node, request, name),
    };
    return planSingleCall(calls, call, result => {
      const tool = method === 'tools/call' ? toolResultSchema.safeParse(result) : undefined;
      if (tool?.success !== true || tool.data.isError !== true) return { type: 'complete', output: result };
      const detail = textOf(tool.data).slice(0, 2000) || `The tool '${name ?? ''}' failed.`;
      return {
        type: 'fail',
        error: runError('runtime', { status: 502, detail, instance: node.path, reason: 'tool_failed' }),
      };
    });
  },
});

/** Lists and reads are harmless; a tool is when it says so, which is asked when it matters. */
function inDoubtOf(node: TaskNode, request: McpCall, tool: string | undefined): InDoubtAnswer {
  if (node.onInDoubt !== undefined) return node.onInDoubt;
  if (request.method !== 'tools/call') return 'retry';
  return {
    ask: {
      id: 'describe',
      effect: 'mcp',
      label: 'tools/list',
      request: listTools([tool ?? '']),
      inDoubt: 'retry',
    },
    answer: result => {
      const { tools } = result as ToolList; // what the effect records for a whole list
      return isRepeatable(tools.find(each => each.name === tool)) ? 'retry' : 'park';
    },
  };
}
