import type { Attributes, Meter } from '@opentelemetry/api';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { attributes, durationBuckets, metricNames } from '@strata/shared/telemetry/semantic-conventions.ts';
import { inputTokens, outputTokens } from '../domain/usage.ts';
import type { UsageRecord, UsageSink } from '../domain/usage-record.ts';

const tokenBuckets = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/** The labels of one target under one alias, made once, and its running sums, which are read when metrics are collected. */
interface Series {
  readonly base: Attributes;
  readonly input: Attributes;
  readonly output: Attributes;
  readonly outcomes: Map<string, Attributes>;
  costNanoUsd: bigint;
  answersWithoutCost: number;
}

/**
 * Turns usage records into metrics and a log line each (level `debug`). Labels are names from the configuration and members
 * of closed sets; nothing a caller writes becomes one (A18).
 */
export function createUsageMetrics(deps: { meter: Meter; log: Logger }): UsageSink {
  const { meter, log } = deps;
  const duration = meter.createHistogram(metricNames.clientDuration, {
    description: 'Duration of attempts, to the last byte.',
    unit: 's',
    advice: { explicitBucketBoundaries: durationBuckets },
  });
  const firstEvent = meter.createHistogram(metricNames.timeToFirstChunk, {
    description: 'Time from the start of an attempt to its first meaningful event.',
    unit: 's',
    advice: { explicitBucketBoundaries: durationBuckets },
  });
  const tokens = meter.createHistogram(metricNames.tokenUsage, {
    description: 'Tokens of one answer.',
    unit: '{token}',
    advice: { explicitBucketBoundaries: tokenBuckets },
  });
  const series = new Map<string, Series>();
  observe(meter, series);

  return {
    record(record) {
      const known = seriesOf(series, record);
      duration.record(record.durationMs / 1000, outcomeLabels(known, record));
      if (record.firstEventMs !== undefined) firstEvent.record(record.firstEventMs / 1000, known.base);
      if (record.usage !== undefined) {
        tokens.record(inputTokens(record.usage), known.input);
        tokens.record(outputTokens(record.usage), known.output);
      }
      if (record.costNanoUsd !== undefined) known.costNanoUsd += record.costNanoUsd;
      else if (record.outcome === 'answered') known.answersWithoutCost++;
      if (log.isLevelEnabled('debug')) logRecord(log, record);
    },
  };
}

function observe(meter: Meter, series: ReadonlyMap<string, Series>): void {
  meter
    .createObservableCounter('strata.ai.cost.nano_usd', {
      description: 'Cost of priced answers, in nano-USD.',
    })
    .addCallback(result => {
      for (const each of series.values()) result.observe(Number(each.costNanoUsd), each.base);
    });
  meter
    .createObservableCounter('strata.ai.answers.without_cost', {
      description: 'Complete answers whose usage or price is not known.',
    })
    .addCallback(result => {
      for (const each of series.values()) result.observe(each.answersWithoutCost, each.base);
    });
}

function seriesOf(series: Map<string, Series>, record: UsageRecord): Series {
  const key = `${record.alias}\n${record.provider}\n${record.model}\n${record.protocol}`;
  const known = series.get(key);
  if (known !== undefined) return known;
  const base: Attributes = {
    [attributes.operationName]: record.operation,
    'strata.provider': record.provider,
    'strata.alias': record.alias,
    'strata.protocol': record.protocol,
    [attributes.requestModel]: record.model,
  };
  const made: Series = {
    base,
    input: { ...base, [attributes.tokenType]: 'input' },
    output: { ...base, [attributes.tokenType]: 'output' },
    outcomes: new Map(),
    costNanoUsd: 0n,
    answersWithoutCost: 0,
  };
  series.set(key, made);
  return made;
}

function outcomeLabels(known: Series, record: UsageRecord): Attributes {
  const key = record.failure ?? record.outcome;
  const made = known.outcomes.get(key);
  if (made !== undefined) return made;
  const isFailure = record.outcome !== 'answered';
  const fresh: Attributes = {
    ...known.base,
    'strata.outcome': record.outcome,
    ...(isFailure && { [attributes.errorType]: key }),
  };
  known.outcomes.set(key, fresh);
  return fresh;
}

function logRecord(log: Logger, record: UsageRecord): void {
  log.debug({ ...record, costNanoUsd: record.costNanoUsd?.toString() }, 'attempt ended');
}
