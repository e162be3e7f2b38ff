import { type Attributes, ValueType } from '@opentelemetry/api';
import { emptyResource, type Resource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  type CollectionResult,
  DataPointType,
  type HistogramMetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';

export interface HistogramOptions {
  readonly description: string;
  /** UCUM: `s`, `{token}`. */
  readonly unit: string;
  /** Inclusive upper bounds, ascending. */
  readonly boundaries: readonly number[];
}

/** The entries of one set of labels. Take it once and keep it. */
export interface HistogramSeries {
  record(value: number): void;
}

export interface Histogram {
  /** The same labels give the same series; labels come from closed sets, so that their number is bounded. */
  series(labels: Attributes): HistogramSeries;
}

const maxSeries = 2000;

/**
 * Histograms whose labels are looked up once and not at every entry: the SDK's own hash and compare all labels at each, which
 * costs more than everything else a request is measured with. Handed to the readers as a producer, they leave through the same
 * exporters as all other metrics (OpenTelemetry metrics SDK, "MetricProducer").
 */
export class Histograms implements MetricProducer {
  readonly #resource: Resource;
  readonly #histograms = new Map<string, HistogramData>();

  constructor(resource: Resource = emptyResource()) {
    this.#resource = resource;
  }

  /** The histogram of this name; made at the first call. */
  histogram(name: string, options: HistogramOptions): Histogram {
    const known = this.#histograms.get(name);
    if (known !== undefined) return known;
    const made = new HistogramData(name, options);
    this.#histograms.set(name, made);
    return made;
  }

  async collect(): Promise<CollectionResult> {
    const metrics = [...this.#histograms.values()]
      .map(each => each.collect())
      .filter(each => each.dataPoints.length > 0);
    return {
      resourceMetrics: { resource: this.#resource, scopeMetrics: [{ scope: { name: 'strata' }, metrics }] },
      errors: [],
    };
  }
}

class HistogramData implements Histogram {
  readonly #name: string;
  readonly #options: HistogramOptions;
  readonly #series = new Map<string, SeriesData>();
  readonly #startedAt = timeOf(Date.now());

  constructor(name: string, options: HistogramOptions) {
    this.#name = name;
    this.#options = options;
  }

  series(labels: Attributes): HistogramSeries {
    const key = JSON.stringify(Object.entries(labels).sort(([left], [right]) => (left < right ? -1 : 1)));
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    // More than this is a label from an open set. What comes late is counted together rather than without bound.
    if (this.#series.size >= maxSeries && key !== overflowKey) return this.series(overflowLabels);
    const made = new SeriesData(labels, this.#options.boundaries);
    this.#series.set(key, made);
    return made;
  }

  collect(): HistogramMetricData {
    const { description, unit } = this.#options;
    const endTime = timeOf(Date.now());
    return {
      descriptor: { name: this.#name, description, unit, valueType: ValueType.DOUBLE },
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
      dataPointType: DataPointType.HISTOGRAM,
      dataPoints: [...this.#series.values()].map(each => ({
        startTime: this.#startedAt,
        endTime,
        attributes: each.labels,
        value: each.value(),
      })),
    };
  }
}

const overflowLabels: Attributes = { 'otel.metric.overflow': true };
const overflowKey = JSON.stringify(Object.entries(overflowLabels));

class SeriesData implements HistogramSeries {
  readonly labels: Attributes;
  readonly #boundaries: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(labels: Attributes, boundaries: readonly number[]) {
    this.labels = labels;
    this.#boundaries = boundaries;
    this.#counts = Array.from({ length: boundaries.length + 1 }, () => 0);
  }

  record(value: number): void {
    let bucket = 0;
    while (bucket < this.#boundaries.length && value > (this.#boundaries[bucket] ?? 0)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
    this.#count++;
  }

  value() {
    return {
      buckets: { boundaries: [...this.#boundaries], counts: [...this.#counts] },
      sum: this.#sum,
      count: this.#count,
    };
  }
}

function timeOf(ms: number): [number, number] {
  return [Math.floor(ms / 1000), (ms % 1000) * 1_000_000];
}
