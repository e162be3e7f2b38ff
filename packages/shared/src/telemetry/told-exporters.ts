import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { toldSpan } from './first-span.ts';
import type { Logger } from './logger.ts';

type TraceExport = Parameters<OTLPTraceExporter['export']>;
type MetricExport = Parameters<OTLPMetricExporter['export']>;
/** How an export ended: `code` is 0 when it was taken. */
type Ended = Parameters<TraceExport[1]>[0];

interface ExporterOptions {
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly log: Logger;
}

/** Says once that a collector takes nothing, and once that it does again: whoever looks for spans finds out why there are none. */
class Teller {
  readonly #what: string;
  readonly #options: ExporterOptions;
  #isFailing = false;

  constructor(what: string, options: ExporterOptions) {
    this.#what = what;
    this.#options = options;
  }

  ended({ code, error }: Ended): void {
    const isFailing = code !== 0;
    if (isFailing === this.#isFailing) return;
    this.#isFailing = isFailing;
    const { url, log } = this.#options;
    if (isFailing) log.warn({ url, err: error }, `the collector does not take ${this.#what}`);
    else log.info({ url }, `the collector takes ${this.#what} again`);
  }
}

export class ToldTraceExporter extends OTLPTraceExporter {
  readonly #teller: Teller;

  constructor(options: ExporterOptions) {
    super({ url: options.url, headers: options.headers });
    this.#teller = new Teller('spans', options);
  }

  override export(spans: TraceExport[0], done: TraceExport[1]): void {
    super.export(spans.map(toldSpan), result => {
      this.#teller.ended(result);
      done(result);
    });
  }
}

export class ToldMetricExporter extends OTLPMetricExporter {
  readonly #teller: Teller;

  constructor(options: ExporterOptions) {
    super({ url: options.url, headers: options.headers });
    this.#teller = new Teller('metrics', options);
  }

  override export(metrics: MetricExport[0], done: MetricExport[1]): void {
    super.export(metrics, result => {
      this.#teller.ended(result);
      done(result);
    });
  }
}
