import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { formatTraceparent, newTraceContext, parentOf } from '../http/trace-context.ts';
import { Secret } from '../secret.ts';
import { createLogger } from './logger.ts';
import { contextUnder, createTelemetry } from './telemetry.ts';
import { telemetrySection } from './telemetry-section.ts';

const open = (config: Record<string, unknown>) =>
  createTelemetry({ service: 'test', config: telemetrySection.parse({ log_level: 'silent', ...config }) });

test('[S20] neither secrets nor credential headers reach a log line', () => {
  let text = '';
  const destination = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  const log = createLogger({ service: 'test', level: 'info', destination });
  log.info(
    { key: new Secret('canary-1'), headers: { authorization: 'Bearer canary-2', accept: 'x' } },
    'seen',
  );
  log.info({ request: { headers: { 'x-api-key': 'canary-3', 'x-strata-envelope': 'canary-4' } } }, 'seen');
  log.error({ err: new Error('failed', { cause: { key: new Secret('canary-5') } }) }, 'seen');
  expect(text).not.toContain('canary');
  expect(text).toContain('[secret]');
});

test('the first span of a trace that began here has no parent, and those below it have theirs', async () => {
  const telemetry = open({ recent_spans: 2 });
  const begun = newTraceContext();
  const first = telemetry.tracer.startSpan('first', {}, parentOf(begun));
  const { spanId } = first.spanContext();
  telemetry.tracer.startSpan('below', {}, parentOf(first.spanContext())).end();
  first.end();
  const spans = telemetry.recentSpans?.ofTrace(begun.traceId) ?? [];
  expect(new Map(spans.map(span => [span.name, span.parent_span_id]))).toEqual(
    new Map([
      ['first', undefined],
      ['below', spanId],
    ]),
  );
  await telemetry.shutdown();
});

test('recent spans: one trace in order, the newest push out the oldest', async () => {
  const telemetry = open({ recent_spans: 2 });
  const caller = { ...newTraceContext(), isRemote: true };
  for (const name of ['first', 'second', 'third'])
    telemetry.tracer.startSpan(name, {}, parentOf(caller)).end();
  telemetry.tracer.startSpan('other trace').end();
  const spans = telemetry.recentSpans?.ofTrace(caller.traceId) ?? [];
  expect(spans.map(span => [span.name, span.parent_span_id])).toEqual([['third', caller.spanId]]);
  await telemetry.shutdown();
});

test('with nothing to record, the trace of the caller goes on and a span costs next to nothing', () => {
  const telemetry = open({});
  const caller = newTraceContext();
  const span = telemetry.tracer.startSpan('call', {}, parentOf(caller));
  expect(telemetry.isTracing).toBe(false);
  expect(formatTraceparent(contextUnder(span, caller))).toBe(formatTraceparent(caller));
  const started = performance.now();
  for (let index = 0; index < 100_000; index++)
    telemetry.tracer.startSpan('call', {}, parentOf(caller)).end();
  expect((performance.now() - started) / 100_000).toBeLessThan(0.005);
});

test('the sampling ratio decides for traces that begin here, never for those that a caller decided', async () => {
  const telemetry = open({ recent_spans: 100, sample_ratio: 0 });
  const local = newTraceContext();
  const remote = { ...newTraceContext(), isRemote: true };
  for (const context of [local, remote]) telemetry.tracer.startSpan('call', {}, parentOf(context)).end();
  expect(telemetry.recentSpans?.ofTrace(local.traceId)).toEqual([]);
  expect(telemetry.recentSpans?.ofTrace(remote.traceId)).toHaveLength(1);
  await telemetry.shutdown();
});

test('metrics come out in the Prometheus text format', async () => {
  const telemetry = open({});
  telemetry.meter.createCounter('strata.requests').add(3, { outcome: 'ok' });
  expect(await telemetry.prometheus()).toMatch(/strata_requests_total\{[^}]*outcome="ok"[^}]*\} 3/);
});

test('histograms: buckets by inclusive upper bound, one series a set of labels, and no end of them is cut short', async () => {
  const telemetry = open({});
  const histogram = telemetry.histograms.histogram('took', {
    description: 'x',
    unit: 's',
    boundaries: [1, 2],
  });
  const series = histogram.series({ route: '/a', status: 200 });
  expect(histogram.series({ status: 200, route: '/a' })).toBe(series);
  for (const value of [0.5, 1, 1.5, 2, 2.5]) series.record(value);
  for (let index = 0; index < 5000; index++) histogram.series({ open: index }).record(1);
  const text = await telemetry.prometheus();
  const bucket = (bound: string) =>
    new RegExp(`took_bucket\\{[^}]*route="/a"[^}]*le="${bound.replace('+', '\\+')}"\\} (\\d+)`).exec(
      text,
    )?.[1];
  expect([bucket('1'), bucket('2'), bucket('+Inf')]).toEqual(['2', '4', '5']);
  expect(text).toMatch(/took_sum\{[^}]*route="\/a"[^}]*\} 7.5/);
  expect(text.match(/^took_count/gm)?.length).toBeLessThan(2100);
  expect(text).toContain('otel_metric_overflow="true"');
});

test('spans and metrics reach an OpenTelemetry collector with its headers', async () => {
  const seen: { path: string; key: string | undefined }[] = [];
  const collector = createServer((request, response) => {
    seen.push({ path: request.url ?? '', key: request.headers['x-key']?.toString() });
    request.resume().on('end', () => response.end('{}'));
  });
  await new Promise<void>(resolve => collector.listen(0, '127.0.0.1', resolve));
  const { port } = collector.address() as AddressInfo;
  const telemetry = open({ otlp_endpoint: `http://127.0.0.1:${port}`, otlp_headers: { 'x-key': 'k' } });
  telemetry.tracer.startSpan('exported').end();
  telemetry.meter.createCounter('exported').add(1);
  telemetry.histograms
    .histogram('h', { description: 'x', unit: 's', boundaries: [1] })
    .series({})
    .record(1);
  await telemetry.shutdown();
  expect(seen.map(each => each.path).sort()).toEqual(['/v1/metrics', '/v1/traces']);
  expect(seen.every(each => each.key === 'k')).toBe(true);
  collector.close();
});

test('a collector that takes nothing is told about once, and harms nobody', async () => {
  let lines = '';
  const destination = new Writable({
    write(chunk, _encoding, done) {
      lines += String(chunk);
      done();
    },
  });
  const collector = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(401).end());
  });
  await new Promise<void>(resolve => collector.listen(0, '127.0.0.1', resolve));
  const { port } = collector.address() as AddressInfo;
  const telemetry = createTelemetry({
    service: 'test',
    config: telemetrySection.parse({
      otlp_endpoint: `http://127.0.0.1:${port}`,
      otlp_headers: { authorization: 'canary' },
    }),
    log: createLogger({ service: 'test', level: 'info', destination }),
  });
  // More than one batch holds.
  for (let index = 0; index < 1500; index++) telemetry.tracer.startSpan('refused').end();
  await telemetry.shutdown();
  collector.close();
  const told = lines.split('\n').filter(line => line.includes('does not take spans'));
  expect(told).toHaveLength(1);
  expect(told[0]).toContain('/v1/traces');
  expect(lines).not.toContain('canary');
});
