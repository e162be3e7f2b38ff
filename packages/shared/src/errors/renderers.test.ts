import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { anthropicErrorEvent, anthropicErrors } from './anthropic.ts';
import { type ErrorKind, errorKinds, GatewayError } from './gateway-error.ts';
import { jsonRpcErrors } from './json-rpc.ts';
import { openaiErrorEvent, openaiErrors } from './openai.ts';
import { problemErrors } from './problem.ts';

const context = { requestId: 'req_1' };
const renderers = { openaiErrors, anthropicErrors, jsonRpcErrors, problemErrors };
const kinds = Object.keys(errorKinds) as ErrorKind[]; // the keys of a const table

test.each(Object.entries(renderers))('%s: every kind keeps its status and is valid JSON', (_name, render) => {
  for (const kind of kinds) {
    const rendered = render(
      new GatewayError(kind, 'what was wrong', { reason: 'some_reason', param: 'messages[0]' }),
      context,
    );
    expect(rendered.status).toBe(errorKinds[kind].status);
    expect(JSON.parse(rendered.body)).toBeTypeOf('object');
    expect(rendered.body).toContain('some_reason');
    expect(rendered.headers['x-should-retry']).toBe(errorKinds[kind].retryable ? undefined : 'false');
  }
});

test.each(Object.entries(renderers))('%s: an unforeseen error shows nothing of itself', (_name, render) => {
  const { body } = render(GatewayError.from(new Error('canary: password=hunter2')), context);
  expect(body).not.toContain('canary');
  const internal = render(new GatewayError('internal', 'canary in a message'), context);
  expect(internal.body).not.toContain('canary');
});

test.each(Object.entries(renderers))('%s: who is not known is told how to say it', (_name, render) => {
  const challengeOf = (kind: ErrorKind, reason: string) =>
    render(new GatewayError(kind, 'no', { reason }), context).headers['www-authenticate'];
  expect(challengeOf('unauthenticated', 'key_missing')).toBe('Bearer realm="strata"');
  expect(challengeOf('unauthenticated', 'key_invalid')).toBe('Bearer realm="strata", error="invalid_token"');
  expect(challengeOf('permission_denied', 'role_required')).toBeUndefined();
});

test('retry-after is in whole seconds, at least one', () => {
  const wait = (retryAfterMs: number) =>
    openaiErrors(new GatewayError('rate_limited', 'slow down', { retryAfterMs }), context).headers[
      'retry-after'
    ];
  expect([wait(1), wait(1500), wait(60_000)]).toEqual(['1', '2', '60']);
});

test('the official SDKs make their own error classes of it', () => {
  const unknownModel = new GatewayError('not_found', "There is no model 'x'.", {
    reason: 'unknown_model',
    param: 'model',
  });
  const openai = openaiErrors(unknownModel, context);
  const thrown = OpenAI.APIError.generate(
    openai.status,
    JSON.parse(openai.body) as object,
    undefined,
    new Headers(),
  );
  expect(thrown).toBeInstanceOf(OpenAI.NotFoundError);
  expect([thrown.code, thrown.param, thrown.type]).toEqual(['unknown_model', 'model', 'not_found_error']);

  const anthropic = anthropicErrors(unknownModel, context);
  const other = Anthropic.APIError.generate(
    anthropic.status,
    JSON.parse(anthropic.body) as object,
    undefined,
    new Headers(),
  );
  expect(other).toBeInstanceOf(Anthropic.NotFoundError);
  expect(other.message).toContain("There is no model 'x'.");
});

test('errors inside a stream are whole events', () => {
  const error = new GatewayError('upstream_failed', 'line one\nline two', { reason: 'upstream_reset' });
  expect(openaiErrorEvent(error)).toMatch(/^data: \{"error":.*\}\n\n$/);
  expect(anthropicErrorEvent(error, context)).toMatch(/^event: error\ndata: \{"type":"error".*\}\n\n$/);
});

test('JSON-RPC uses the codes of its specification', () => {
  const codeOf = (error: GatewayError) =>
    (JSON.parse(jsonRpcErrors(error, context).body) as { error: { code: number } }).error.code;
  expect(codeOf(new GatewayError('invalid_request', 'x', { reason: 'json_syntax' }))).toBe(-32700);
  expect(codeOf(new GatewayError('invalid_request', 'x'))).toBe(-32600);
  expect(codeOf(new GatewayError('internal', 'x'))).toBe(-32603);
});
