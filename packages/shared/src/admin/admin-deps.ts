import type { AuditLog } from '../audit/audit-log.ts';
import type { Clock } from '../clock.ts';
import type { GatewayName } from '../identity/envelope.ts';
import type { KeyStore } from '../identity/key-store.ts';
import type { PolicyGuard } from '../identity/policy-guard.ts';
import type { TreeStore } from '../identity/tree-store.ts';
import type { Limit } from '../limits/limit.ts';
import type { LimitRules } from '../limits/limit-rules.ts';
import type { PriceStore } from '../money/price-store.ts';
import type { SqlBudgetStore } from '../money/sql-budget-store.ts';
import type { Sealer } from '../sealer.ts';
import type { SharedSchema } from '../stores/shared-schema.ts';
import type { SqlStore } from '../stores/sql.ts';

/** What the admin API works on. */
export interface AdminDeps {
  readonly sql: SqlStore<SharedSchema>;
  readonly clock: Clock;
  readonly keys: KeyStore;
  readonly tree: TreeStore;
  readonly budgetStore: SqlBudgetStore;
  readonly priceStore: PriceStore;
  readonly configuredLimits: readonly Limit[];
  readonly limitRules: LimitRules;
  readonly policy: Pick<PolicyGuard, 'policies'>;
  readonly name: GatewayName;
  readonly audit: AuditLog;
  readonly sealer: Sealer;
}
