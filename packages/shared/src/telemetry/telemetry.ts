import { type Meter, type SpanContext, type Tracer, trace } from '@opentelemetry/api';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { type IMetricReader, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { Histograms } from './histograms.ts';
import { createLogger, type Logger } from './logger.ts';
import { RecentSpans } from './recent-spans.ts';
import type { TelemetryConfig } from './telemetry-section.ts';
import { ToldMetricExporter, ToldTraceExporter } from './told-exporters.ts';

/** Logs, traces and metrics of one process. Made once in `main`, handed down; there are no globals. */
export interface Telemetry {
  readonly log: Logger;
  /** A tracer that does nothing when spans are neither exported nor kept. */
  readonly tracer: Tracer;
  /** Counters and gauges. */
  readonly meter: Meter;
  readonly histograms: Histograms;
  /** Whether spans are recorded at all: parts that would prepare attributes ask first. */
  readonly isTracing: boolean;
  readonly recentSpans: RecentSpans | undefined;
  /** All metrics in the Prometheus text format 0.0.4. */
  prometheus(): Promise<string>;
  /** Sends what is still waiting, for at most a few seconds. */
  shutdown(): Promise<void>;
}

const exportIntervalMs = 15_000;
const shutdownTimeoutMs = 3000;

export function createTelemetry(options: {
  service: string;
  config: TelemetryConfig;
  log?: Logger;
}): Telemetry {
  const { service, config } = options;
  const log = options.log ?? createLogger({ service, level: config.log_level });
  const resource = resourceFromAttributes({ 'service.name': service, 'service.namespace': 'strata' });
  const headers = Object.fromEntries(
    Object.entries(config.otlp_headers).map(([name, value]) => [name, value.reveal()]),
  );
  const endpoint = config.otlp_endpoint?.replace(/\/$/, '');

  const recentSpans = config.recent_spans > 0 ? new RecentSpans(service, config.recent_spans) : undefined;
  const spanProcessors: SpanProcessor[] = [];
  if (recentSpans !== undefined) spanProcessors.push(recentSpans);
  if (endpoint !== undefined)
    spanProcessors.push(
      new BatchSpanProcessor({
        exporter: new ToldTraceExporter({ url: `${endpoint}/v1/traces`, headers, log }),
      }),
    );
  const ratio = new TraceIdRatioBasedSampler(config.sample_ratio);
  const tracing =
    spanProcessors.length === 0
      ? undefined
      : new TracerProvider({
          resource,
          spanProcessors,
          // A trace that began here has a local parent (see `newTraceContext`); the ratio decides by its id, the same for all spans.
          sampler: new ParentBasedSampler({ root: ratio, localParentSampled: ratio }),
        });

  const histograms = new Histograms(resource);
  const metricProducers = [histograms];
  const prometheus = new PrometheusExporter({ preventServerStart: true, metricProducers });
  const readers: IMetricReader[] = [prometheus];
  if (endpoint !== undefined) {
    const exporter = new ToldMetricExporter({ url: `${endpoint}/v1/metrics`, headers, log });
    readers.push(
      new PeriodicExportingMetricReader({
        exporter,
        exportIntervalMillis: exportIntervalMs,
        metricProducers,
      }),
    );
  }
  const metrics = new MeterProvider({ resource, readers });
  const serializer = new PrometheusSerializer();

  return {
    log,
    tracer: tracing?.getTracer('strata') ?? noopTracer,
    meter: metrics.getMeter('strata'),
    histograms,
    isTracing: tracing !== undefined,
    recentSpans,
    async prometheus() {
      const { resourceMetrics } = await prometheus.collect();
      return serializer.serialize(resourceMetrics);
    },
    async shutdown() {
      const waiting = Promise.allSettled([tracing?.shutdown(), metrics.shutdown()]);
      await Promise.race([waiting, new Promise(resolve => setTimeout(resolve, shutdownTimeoutMs).unref())]);
    },
  };
}

/** Hands the caller's trace on and records nothing. */
const noopTracer: Tracer = trace.getTracerProvider().getTracer('none');

/** The context that a call made under `span` carries, so that the trace goes on even when nothing is recorded. */
export function contextUnder(span: { spanContext(): SpanContext }, caller: SpanContext): SpanContext {
  const own = span.spanContext();
  return own.traceId === caller.traceId ? own : caller;
}
