import type { Clock } from '../clock.ts';
import { followChanges } from '../identity/follow-changes.ts';
import type { IdentityWatch } from '../identity/identity-watch.ts';
import { type Subject, SubjectIndex } from '../money/subject.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Limit } from './limit.ts';
import type { LimitRules } from './limit-rules.ts';

/** The limits that hold now. */
export interface LimitsInForce {
  /** Those that stand on one of the subjects, each once. */
  find(tenant: string, subjects: readonly Subject[]): Limit[];
  readonly isEmpty: boolean;
}

/** Limits that stay as they are. */
export function fixedLimits(limits: readonly Limit[]): LimitsInForce {
  return new SubjectIndex(limits, limit => limit);
}

/** Those of the configuration with those of the store: a change by any process is seen as soon as a revoked key is. */
export async function openLimitsInForce(options: {
  readonly configured: readonly Limit[];
  readonly rules: Pick<LimitRules, 'all'>;
  readonly watch: Pick<IdentityWatch, 'onChange'>;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<LimitsInForce & { close(): Promise<void> }> {
  const { configured, rules, ...following } = options;
  let index = new SubjectIndex(configured, limit => limit);
  const close = await followChanges({
    ...following,
    kind: 'limit',
    async read() {
      index = new SubjectIndex([...configured, ...(await rules.all())], limit => limit);
    },
  });
  return {
    find: (tenant, subjects) => index.find(tenant, subjects),
    get isEmpty() {
      return index.isEmpty;
    },
    close,
  };
}
