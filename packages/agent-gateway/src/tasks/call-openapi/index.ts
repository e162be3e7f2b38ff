import * as z from 'zod';
import { defineTask, type InDoubtAnswer, type PlannedCall } from '../../domain/task-type.ts';
import type { TaskNode, Template } from '../../domain/workflow.ts';
import { asText } from '../as-text.ts';
import {
  authenticationSchema,
  type CompiledAuthentication,
  compileAuthentication,
  prepareCredentials,
} from '../authentication/authentication.ts';
import { checkShape } from '../check-shape.ts';
import { compileEndpoint, type EndpointOptions, endpointSchema } from '../endpoint.ts';
import { type HttpOutput, httpOutput, inDoubtOfMethod, moveOfAnswer } from '../http-answer.ts';
import { planSingleCall } from '../single-call.ts';
import type { OpenapiCall, OpenapiCallResult } from './openapi-call.ts';

const withSchema = z.strictObject({
  document: z.strictObject({
    name: z.string().optional(),
    endpoint: endpointSchema,
  }),
  operationId: z.string().min(1),
  parameters: z.union([z.record(z.string(), z.unknown()), z.string()]).optional(),
  output: httpOutput,
  authentication: authenticationSchema.optional(),
  redirect: z.boolean().default(false),
});

interface Options {
  readonly document: EndpointOptions;
  readonly authentication: CompiledAuthentication | undefined;
  readonly operationId: string;
  readonly parameters: Template | undefined;
  readonly output: HttpOutput;
  readonly redirect: boolean;
}

/** `call: openapi`: one operation of a service that an OpenAPI document describes. Its output is the answer's content. */
export const callOpenapiTask = defineTask<Options | undefined, OpenapiCall>({
  type: 'call:openapi',
  keys: ['call', 'with'],
  compile(definition, context) {
    const pointer = `${context.path}/with`;
    const shape = checkShape(withSchema, { value: definition.with, pointer }, context);
    if (shape === undefined) return undefined;
    const { document, operationId, parameters, output, redirect, authentication } = shape;
    return {
      document: compileEndpoint(document.endpoint, `${pointer}/document/endpoint`, context),
      authentication:
        authentication && compileAuthentication(authentication, `${pointer}/authentication`, context),
      operationId,
      parameters:
        parameters === undefined ? undefined : context.template(parameters, `${pointer}/parameters`),
      output,
      redirect,
    };
  },
  async prepare(options, scope) {
    if (options === undefined) throw new Error('The task was not compiled');
    const { document, authentication, operationId, parameters, output, redirect } = options;
    const given = parameters === undefined ? {} : await scope.evaluate(parameters);
    return {
      document: asText(await scope.evaluate(document.uri)),
      documentCredentials: await prepareCredentials(document.authentication, scope),
      credentials: await prepareCredentials(authentication, scope),
      operationId,
      parameters: typeof given === 'object' && given !== null ? { ...given } : {},
      acceptsRedirect: redirect,
      wantsRaw: output === 'raw',
    };
  },
  plan({ node, options, arguments: request, calls }) {
    const call: PlannedCall = {
      id: 'request',
      effect: 'openapi',
      label: request.operationId,
      request,
      inDoubt: inDoubtOf(node, request),
    };
    return planSingleCall(calls, call, result => {
      const { answer, ...made } = result as OpenapiCallResult; // written by the effect of the same name
      if (answer === undefined) throw new Error('The call was only described');
      return moveOfAnswer(answer, { node, request: made, output: options?.output ?? 'content' });
    });
  },
});

/** Which method it is stands in the document, which is asked when it matters. */
function inDoubtOf(node: TaskNode, request: OpenapiCall): InDoubtAnswer {
  if (node.onInDoubt !== undefined) return node.onInDoubt;
  const describe: OpenapiCall = { ...request, describe: true };
  return {
    ask: {
      id: 'describe',
      effect: 'openapi',
      label: request.operationId,
      request: describe,
      inDoubt: 'retry',
    },
    answer: result => inDoubtOfMethod((result as OpenapiCallResult).method),
  };
}
