import type { Attributes, Meter } from '@opentelemetry/api';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { attributes, durationBuckets, metricNames } from '@strata/shared/telemetry/semantic-conventions.ts';
import { inputTokens, outputTokens } from '../domain/usage.ts';
import type { UsageRecord, UsageSink } from '../domain/usage-record.ts';

const tokenBuckets = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/** Label values that a histogram needs for one target, made once. */
interface Labels {
  readonly base: Attributes;
  readonly input: Attributes;
  readonly output: Attributes;
  readonly outcomes: Map<string, Attributes>;
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
  const cost = meter.createCounter('strata.ai.cost.nano_usd', { description: 'Cost of priced answers.' });
  const unknownCost = meter.createCounter('strata.ai.answers.without_cost', {
    description: 'Answers whose usage or price is not known.',
  });
  const labels = new Map<string, Labels>();

  return {
    record(record) {
      const known = labelsOf(labels, record);
      duration.record(record.durationMs / 1000, outcomeLabels(known, record));
      if (record.firstEventMs !== undefined) firstEvent.record(record.firstEventMs / 1000, known.base);
      if (record.usage !== undefined) {
        tokens.record(inputTokens(record.usage), known.input);
        tokens.record(outputTokens(record.usage), known.output);
      }
      if (record.costNanoUsd !== undefined) cost.add(Number(record.costNanoUsd), known.base);
      else if (record.outcome === 'answered') unknownCost.add(1, known.base);
      if (log.isLevelEnabled('debug')) logRecord(log, record);
    },
  };
}

function labelsOf(labels: Map<string, Labels>, record: UsageRecord): Labels {
  const key = `${record.alias}\n${record.provider}\n${record.model}\n${record.protocol}`;
  const known = labels.get(key);
  if (known !== undefined) return known;
  const base: Attributes = {
    [attributes.operationName]: 'chat',
    'strata.provider': record.provider,
    'strata.alias': record.alias,
    [attributes.requestModel]: record.model,
  };
  const made: Labels = {
    base,
    input: { ...base, [attributes.tokenType]: 'input' },
    output: { ...base, [attributes.tokenType]: 'output' },
    outcomes: new Map(),
  };
  labels.set(key, made);
  return made;
}

function outcomeLabels(known: Labels, record: UsageRecord): Attributes {
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
