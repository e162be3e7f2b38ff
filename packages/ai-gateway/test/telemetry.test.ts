import { inOrder } from '@strata/shared/testing/fake-upstream/plan.ts';
import { eventStreamHead, jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chatRequest, post, type RunningGateway, sectionFor, startGateway } from './harness.ts';
import { chatCompletion, chatCostNanoUsd, chatStream } from './recordings.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: jsonPlan(chatCompletion) });
  gateway = await startGateway({ keepsRecords: false, section: sectionFor({ openai: upstream.url }) });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;

test('one span a request and one an attempt, in the trace of the caller, which goes on upstream', async () => {
  upstream.use(inOrder(jsonPlan({ error: {} }, { status: 503 }), jsonPlan(chatCompletion)));
  await post(gateway, '/v1/chat/completions', chatRequest(), { traceparent });
  const spans = gateway.deps.telemetry.recentSpans?.ofTrace(traceId) ?? [];
  const request = spans.find(span => span.kind === 'server');
  const attempts = spans.filter(span => span.kind === 'client');
  expect(request).toMatchObject({
    name: 'chat chat',
    parent_span_id: '00f067aa0ba902b7',
    status: 'unset',
    attributes: {
      'gen_ai.operation.name': 'chat',
      'gen_ai.request.model': 'chat',
      'gen_ai.response.model': 'gpt-upstream-2026',
      'gen_ai.usage.input_tokens': 12,
      'gen_ai.usage.output_tokens': 5,
      'gen_ai.response.finish_reasons': ['stop'],
      'strata.tenant': 'acme',
      'strata.principal': 'user:ada',
      'strata.cost.nano_usd': chatCostNanoUsd,
      'strata.attempt': 2,
    },
  });
  expect(attempts).toMatchObject([
    {
      name: 'chat gpt-upstream',
      parent_span_id: request?.span_id,
      status: 'error',
      attributes: { 'error.type': 'transient', 'http.response.status_code': 503, 'strata.attempt': 1 },
    },
    {
      name: 'chat gpt-upstream',
      parent_span_id: request?.span_id,
      status: 'unset',
      attributes: {
        'gen_ai.provider.name': 'openai',
        'server.address': '127.0.0.1',
        'server.port': upstream.port,
        'strata.attempt': 2,
      },
    },
  ]);
  expect(upstream.requests.slice(-2).map(sent => sent.headers.traceparent)).toEqual(
    attempts.map(span => `00-${traceId}-${span.span_id}-01`),
  );
});

test('the span of a streamed attempt says when its first event was there, in seconds', async () => {
  const streamed = '4bf92f3577b34da6a3ce929d0e0e4737';
  upstream.use([eventStreamHead, { op: 'stall', ms: 20 }, { op: 'write', bytes: chatStream }]);
  await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }), {
    traceparent: `00-${streamed}-00f067aa0ba902b7-01`,
  });
  const spans = gateway.deps.telemetry.recentSpans?.ofTrace(streamed) ?? [];
  const attempt = spans.find(span => span.kind === 'client');
  expect(attempt?.attributes['gen_ai.request.stream']).toBe(true);
  const seconds = Number(attempt?.attributes['gen_ai.response.time_to_first_chunk']);
  expect(seconds).toBeGreaterThan(0.01);
  expect(seconds).toBeLessThan(10);
});

test('metrics: durations, tokens, cost; [A18] nothing that a caller wrote is a label', async () => {
  upstream.use(jsonPlan(chatCompletion));
  for (const model of ['chat', 'no-such-model', 'another-one']) {
    await post(gateway, '/v1/chat/completions', { ...chatRequest(), model, user: 'canary-user' });
  }
  upstream.use([eventStreamHead, { op: 'write', bytes: chatStream }]);
  await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }));
  const text = await gateway.deps.telemetry.prometheus();
  for (const name of [
    'gen_ai_client_operation_duration',
    'gen_ai_client_operation_time_to_first_chunk',
    'gen_ai_server_time_per_output_token',
    'gen_ai_client_token_usage',
  ]) {
    const required =
      'gen_ai_operation_name="chat"[^}]*gen_ai_provider_name="openai"[^}]*gen_ai_request_model="gpt-upstream"';
    expect(text).toMatch(new RegExp(`${name}_\\w*count\\{[^}]*${required}[^}]*\\} [1-9]`));
  }
  expect(text).toMatch(
    /gen_ai_client_operation_duration_\w*count\{[^}]*strata_provider="fake-openai"[^}]*\} \d+/,
  );
  expect(text).toMatch(/gen_ai_client_token_usage_\w*sum\{[^}]*gen_ai_token_type="input"[^}]*\} \d+/);
  expect(text).toMatch(/strata_ai_cost_nano_usd_total\{[^}]*\} \d+/);
  expect(text).toContain('error_type="transient"');
  expect(text).not.toMatch(/no-such-model|another-one|canary/);
});
