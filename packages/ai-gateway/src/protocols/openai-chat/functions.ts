import type { JsonObject } from '../../domain/json-object.ts';
import { asObject, asObjects, asString } from '../read-json.ts';

/** Whether a request offers `functions`, as clients did before there were tools. Its answer calls by `function_call` then. */
export function asksByFunctions(body: JsonObject | undefined): boolean {
  return Array.isArray(body?.functions) && body.tools == null;
}

/** The same request with tools. Calls had no ids then: each is answered by the message behind it. */
export function withTools(body: JsonObject): JsonObject {
  const { functions, function_call: choice, ...rest } = body;
  const named = asString(asObject(choice)?.name);
  return {
    ...rest,
    tools: asObjects(functions).map(each => ({ type: 'function', function: each })),
    tool_choice: named === undefined ? choice : { type: 'function', function: { name: named } },
    parallel_tool_calls: false,
    ...(Array.isArray(body.messages) && { messages: withCallIds(asObjects(body.messages)) }),
  };
}

function withCallIds(messages: readonly JsonObject[]): readonly JsonObject[] {
  let calls = 0;
  return messages.map(message => {
    const { function_call: call, ...rest } = message;
    const made = asObject(call);
    if (made !== undefined)
      return { ...rest, tool_calls: [{ id: `call_${++calls}`, type: 'function', function: made }] };
    if (message.role !== 'function') return message;
    const { name: _answered, ...answer } = rest;
    return { ...answer, role: 'tool', tool_call_id: `call_${calls}` };
  });
}
