import type { Attributes, Meter } from '@opentelemetry/api';
import { inputTokens, outputTokens } from '@strata/shared/money/usage.ts';
import type { Histogram, HistogramSeries, Histograms } from '@strata/shared/telemetry/histograms.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import {
  attributes,
  durationBuckets,
  metricNames,
  tokenTimeBuckets,
} from '@strata/shared/telemetry/semantic-conventions.ts';
import type { UsageRecord, UsageSink } from '../domain/usage-record.ts';

const tokenBuckets = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/** What is counted for one target under one alias: looked up once a record, with every label already in its place. */
interface Series {
  readonly labels: Attributes;
  readonly firstEvent: HistogramSeries;
  readonly tokenTime: HistogramSeries;
  readonly input: HistogramSeries;
  readonly output: HistogramSeries;
  readonly durations: Map<string, HistogramSeries>;
  costNanoUsd: bigint;
  answersWithoutCost: number;
}

interface Instruments {
  readonly duration: Histogram;
  readonly firstEvent: Histogram;
  readonly tokenTime: Histogram;
  readonly tokens: Histogram;
}

/**
 * Turns usage records into metrics and a log line each (level `debug`). Labels are names from the configuration and members
 * of closed sets; nothing a caller writes becomes one (A18).
 */
export function createUsageMetrics(deps: { histograms: Histograms; meter: Meter; log: Logger }): UsageSink {
  const { histograms, meter, log } = deps;
  const instruments: Instruments = {
    duration: histograms.histogram(metricNames.clientDuration, {
      description: 'Duration of attempts, to the last byte.',
      unit: 's',
      boundaries: durationBuckets,
    }),
    firstEvent: histograms.histogram(metricNames.timeToFirstChunk, {
      description: 'Time from the start of an attempt to its first meaningful event.',
      unit: 's',
      boundaries: durationBuckets,
    }),
    tokenTime: histograms.histogram(metricNames.timePerOutputToken, {
      description: 'Time of each token after the first, in complete streams.',
      unit: 's',
      boundaries: tokenTimeBuckets,
    }),
    tokens: histograms.histogram(metricNames.tokenUsage, {
      description: 'Tokens of one answer.',
      unit: '{token}',
      boundaries: tokenBuckets,
    }),
  };
  const series = new Map<string, Series>();
  observe(meter, series);

  return {
    record(record) {
      const known = seriesOf(series, record, instruments);
      durationOf(known, record, instruments).record(record.durationMs / 1000);
      if (record.firstEventMs !== undefined) known.firstEvent.record(record.firstEventMs / 1000);
      const tokenMs = tokenMsOf(record);
      if (tokenMs !== undefined) known.tokenTime.record(tokenMs / 1000);
      if (record.usage !== undefined) {
        known.input.record(inputTokens(record.usage));
        known.output.record(outputTokens(record.usage));
      }
      if (record.costNanoUsd !== undefined) known.costNanoUsd += record.costNanoUsd;
      else if (record.outcome === 'answered') known.answersWithoutCost++;
      if (log.isLevelEnabled('debug')) logRecord(log, record);
    },
  };
}

function tokenMsOf({ outcome, usage, firstEventMs, durationMs }: UsageRecord): number | undefined {
  if (outcome !== 'answered' || usage === undefined || firstEventMs === undefined) return undefined;
  const afterFirst = outputTokens(usage) - 1;
  return afterFirst > 0 ? (durationMs - firstEventMs) / afterFirst : undefined;
}

function observe(meter: Meter, series: ReadonlyMap<string, Series>): void {
  meter
    .createObservableCounter('strata.ai.cost.nano_usd', {
      description: 'Cost of priced answers, in nano-USD.',
    })
    .addCallback(result => {
      for (const each of series.values()) result.observe(Number(each.costNanoUsd), each.labels);
    });
  meter
    .createObservableCounter('strata.ai.answers.without_cost', {
      description: 'Complete answers whose usage or price is not known.',
    })
    .addCallback(result => {
      for (const each of series.values()) result.observe(each.answersWithoutCost, each.labels);
    });
}

function seriesOf(series: Map<string, Series>, record: UsageRecord, instruments: Instruments): Series {
  const key = `${record.alias}\n${record.provider}\n${record.model}\n${record.protocol}`;
  const known = series.get(key);
  if (known !== undefined) return known;
  const labels: Attributes = {
    [attributes.operationName]: record.operation,
    [attributes.providerName]: record.system,
    'strata.provider': record.provider,
    'strata.alias': record.alias,
    'strata.protocol': record.protocol,
    [attributes.requestModel]: record.model,
  };
  const made: Series = {
    labels,
    firstEvent: instruments.firstEvent.series(labels),
    tokenTime: instruments.tokenTime.series(labels),
    input: instruments.tokens.series({ ...labels, [attributes.tokenType]: 'input' }),
    output: instruments.tokens.series({ ...labels, [attributes.tokenType]: 'output' }),
    durations: new Map(),
    costNanoUsd: 0n,
    answersWithoutCost: 0,
  };
  series.set(key, made);
  return made;
}

function durationOf(known: Series, record: UsageRecord, instruments: Instruments): HistogramSeries {
  const key = record.failure ?? record.outcome;
  const made = known.durations.get(key);
  if (made !== undefined) return made;
  const isFailure = record.outcome !== 'answered';
  const fresh = instruments.duration.series({
    ...known.labels,
    'strata.outcome': record.outcome,
    ...(isFailure && { [attributes.errorType]: key }),
  });
  known.durations.set(key, fresh);
  return fresh;
}

function logRecord(log: Logger, record: UsageRecord): void {
  log.debug({ ...record, costNanoUsd: record.costNanoUsd?.toString() }, 'attempt ended');
}
