import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import * as z from 'zod';
import { defineTask, type TaskScope } from '../../domain/task-type.ts';
import type { Template } from '../../domain/workflow.ts';
import { asText } from '../as-text.ts';
import { prepareCredentials } from '../authentication/authentication.ts';
import { checkShape } from '../check-shape.ts';
import { compileEndpoint, type EndpointOptions, endpointSchema } from '../endpoint.ts';
import { type HttpOutput, httpOutput, inDoubtOfMethod, moveOfAnswer, withoutQuery } from '../http-answer.ts';
import { planSingleCall } from '../single-call.ts';
import type { HttpCall, HttpCallResult } from './http-call.ts';

const withSchema = z.strictObject({
  method: z.string().regex(/^[A-Za-z]{1,16}$/, 'Expected an HTTP method'),
  endpoint: endpointSchema,
  headers: z.union([z.record(z.string(), z.unknown()), z.string()]).optional(),
  body: z.unknown().optional(),
  query: z.union([z.record(z.string(), z.unknown()), z.string()]).optional(),
  output: httpOutput,
  redirect: z.boolean().default(false),
});

interface Options {
  readonly method: string;
  readonly endpoint: EndpointOptions;
  readonly headers: Template | undefined;
  readonly body: Template | undefined;
  readonly query: Template | undefined;
  readonly output: HttpOutput;
  readonly redirect: boolean;
}

/** `call: http`: one request through the dialer. Its output is the answer's content. */
export const callHttpTask = defineTask<Options | undefined, HttpCall>({
  type: 'call:http',
  keys: ['call', 'with'],
  compile(definition, context) {
    const pointer = `${context.path}/with`;
    const shape = checkShape(withSchema, { value: definition.with, pointer }, context);
    if (shape === undefined) return undefined;
    const { endpoint, headers, body, query } = shape;
    const part = (value: unknown, name: string) =>
      value === undefined ? undefined : context.template(value, `${pointer}/${name}`);
    const compiled = compileEndpoint(endpoint, `${pointer}/endpoint`, context);
    const { uri } = compiled;
    if (uri.kind === 'literal' && !/^https?:\/\//i.test(String(uri.value)))
      context.mistake(`${pointer}/endpoint`, 'The address must begin with http:// or https://.');
    return {
      method: shape.method.toUpperCase(),
      endpoint: compiled,
      headers: part(headers, 'headers'),
      body: part(body, 'body'),
      query: part(query, 'query'),
      output: shape.output,
      redirect: shape.redirect,
    };
  },
  async prepare(options, scope) {
    if (options === undefined) throw new Error('The task was not compiled');
    const evaluate = (template: Template | undefined) =>
      template === undefined ? undefined : scope.evaluate(template);
    return {
      method: options.method,
      uri: await resolveUri(options.endpoint.uri, scope),
      credentials: await prepareCredentials(options.endpoint.authentication, scope),
      headers: toTexts(await evaluate(options.headers)),
      query: toTexts(await evaluate(options.query)),
      body: await evaluate(options.body),
      acceptsRedirect: options.redirect,
      wantsRaw: options.output === 'raw',
    };
  },
  plan({ node, options, arguments: request, calls }) {
    const { method, uri } = request;
    const call = {
      id: 'request',
      effect: 'http',
      label: `${method} ${withoutQuery(uri)}`,
      request,
      inDoubt: node.onInDoubt ?? inDoubtOfMethod(method),
    };
    return planSingleCall(calls, call, result =>
      // written by the effect of the same name
      moveOfAnswer(result as HttpCallResult, { node, request, output: options?.output ?? 'content' }),
    );
  },
});

/** `{name}` of what was written stands for a member of the task's input, and for nothing without it (RFC 6570 level 1). */
async function resolveUri(template: Template, scope: TaskScope): Promise<string> {
  const uri = asText(await scope.evaluate(template));
  if (template.kind === 'expression') return uri;
  const members = new Map(
    typeof scope.input === 'object' && scope.input !== null ? Object.entries(scope.input) : [],
  );
  return uri.replace(/\{([A-Za-z0-9_.%-]+)\}/g, (_, name: string) => {
    const value: unknown = members.get(name) ?? '';
    if (typeof value !== 'object') return encodeURIComponent(String(value));
    throw new GatewayError('invalid_request', `'{${name}}' of the address stands for a value with parts.`, {
      reason: 'expression_failed',
    });
  });
}

function toTexts(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  const entries = Object.entries(value).filter(([, each]) => each !== null && each !== undefined);
  return Object.fromEntries(entries.map(([name, each]) => [name, asText(each)]));
}
