import { parseUsd } from '@strata/shared/money/nano-usd.ts';
import { defaultPriority } from '../domain/queue.ts';
import type { LimitOverrides, Workflow } from '../domain/workflow.ts';
import { type DocumentMetadata, readDocumentMetadata } from './gateway-metadata.ts';
import type { Members } from './members.ts';
import type { Mistakes } from './mistakes.ts';
import type { PartReader } from './part-reader.ts';

const at = '/document/metadata/gateway';

/** `document.metadata.gateway` in the form that the engine reads. */
export function readSettings(
  head: Members,
  reader: PartReader,
  mistakes: Mistakes,
): Pick<Workflow, 'limits' | 'concurrency' | 'priority' | 'keepEndedMs'> {
  const { limits, concurrency, priority, retention } = readDocumentMetadata(head, mistakes);
  return {
    limits: limitsOf(limits, reader),
    concurrency: concurrency && {
      limit: concurrency.limit,
      ...(concurrency.key !== undefined && {
        key: reader.template(concurrency.key, { pointer: `${at}/concurrency/key`, variables: [] }),
      }),
    },
    priority: priority ?? defaultPriority,
    keepEndedMs: retention === undefined ? undefined : reader.fixedDuration(retention, `${at}/retention`),
  };
}

function limitsOf(limits: DocumentMetadata['limits'], reader: PartReader): LimitOverrides {
  if (limits === undefined) return {};
  const { steps, visits, fanOut, liveTasks, repeats, wallClock, costUsd } = limits;
  return {
    ...(steps !== undefined && { maxSteps: steps }),
    ...(visits !== undefined && { maxVisits: visits }),
    ...(fanOut !== undefined && { maxFanOut: fanOut }),
    ...(liveTasks !== undefined && { maxLiveTasks: liveTasks }),
    ...(repeats !== undefined && { maxRepeats: repeats }),
    ...(costUsd !== undefined && { maxCostNanoUsd: String(parseUsd(costUsd)) }),
    ...(wallClock !== undefined && {
      maxRunMs: reader.fixedDuration(wallClock, `${at}/limits/wallClock`),
    }),
  };
}
