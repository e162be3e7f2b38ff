import { join, resolve } from 'node:path';
import { createAuditKeys } from './audit/audit-keys.ts';
import { type AuditLog, createAuditLog } from './audit/audit-log.ts';
import { createRefusalLog, type RefusalLog } from './audit/refusal-log.ts';
import type { Clock } from './clock.ts';
import type { SharedConfig } from './config/root-schema.ts';
import { createDialer, type Dialer } from './http/dialer.ts';
import type { GatewayServer } from './http/server.ts';
import type { Authenticate } from './identity/caller.ts';
import type { GatewayName } from './identity/envelope.ts';
import {
  type EnvelopeKeys,
  generateSigningKey,
  openEnvelopeKeys,
  trustedGateways,
} from './identity/envelope-keys.ts';
import {
  createEnvelopeIssuer,
  createEnvelopeVerifier,
  type EnvelopeIssuer,
} from './identity/envelope-token.ts';
import { followChanges } from './identity/follow-changes.ts';
import { openIdentityControl } from './identity/identity-control.ts';
import type { KeyStore } from './identity/key-store.ts';
import type { LiveCaller, LiveCalls } from './identity/live-calls.ts';
import { readOrCreateSecret } from './identity/local-secrets.ts';
import { compilePolicies } from './identity/policy.ts';
import { createPolicyGuard, type PolicyGuard } from './identity/policy-guard.ts';
import type { CancelRun } from './identity/revocation.ts';
import type { TreeStore } from './identity/tree-store.ts';
import { randomText } from './ids.ts';
import type { Limit } from './limits/limit.ts';
import { createLimitRules, type LimitRules } from './limits/limit-rules.ts';
import { toLimits } from './limits/limit-section.ts';
import type { Limiter } from './limits/limiter.ts';
import { openLimitsInForce } from './limits/limits-in-force.ts';
import { openLimiter } from './limits/open-limiter.ts';
import type { Budgets } from './money/budgets.ts';
import { openMoney } from './money/open-money.ts';
import { openPriceOverrides, type PriceOverrides } from './money/price-overrides.ts';
import { createPriceStore, type PriceStore } from './money/price-store.ts';
import type { SqlBudgetStore } from './money/sql-budget-store.ts';
import type { UsageLedger } from './money/usage-ledger.ts';
import { createSealer, type Sealer } from './sealer.ts';
import type { Secret } from './secret.ts';
import type { Hot } from './stores/hot.ts';
import { openHot } from './stores/open-hot.ts';
import { openSqlStore } from './stores/open-sql.ts';
import { type SharedSchema, sharedMigrations } from './stores/shared-schema.ts';
import type { SqlStore } from './stores/sql.ts';
import type { StoreConfig } from './stores/store-section.ts';
import { createTelemetry, type Telemetry } from './telemetry/telemetry.ts';

/** What every gateway is given: the ways to the outside, each behind its port. */
export interface GatewayDeps {
  readonly name: GatewayName;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly sql: SqlStore<SharedSchema>;
  /** How `sql` was opened, for whoever keeps records of its own beside it. */
  readonly store: StoreConfig;
  readonly hot: Hot;
  readonly dialer: Dialer;
  readonly keys: KeyStore;
  readonly tree: TreeStore;
  /** What goes on for whom in this process. */
  readonly live: LiveCalls;
  readonly cancelRun: CancelRun;
  /** Whether the key, or the principal without one, may still act: for what is done in somebody's name while nobody calls. */
  readonly isUsable: (caller: LiveCaller) => Promise<boolean>;
  readonly policy: PolicyGuard;
  readonly authenticate: Authenticate;
  /** Identity providers whose tokens are accepted. */
  readonly issuers: readonly string[];
  readonly envelopes: EnvelopeIssuer;
  readonly envelopeKeys: EnvelopeKeys;
  readonly ledger: UsageLedger;
  readonly audit: AuditLog;
  readonly budgets: Budgets;
  /** Where budgets are kept and changed. */
  readonly budgetStore: SqlBudgetStore;
  /** Prices that the admin API has set: what is in force here, and where they are kept and changed. */
  readonly priceOverrides: PriceOverrides;
  readonly priceStore: PriceStore;
  /** For texts that only this installation may read or make. */
  readonly sealer: Sealer;
  /** Where refused calls are entered, however many. */
  readonly refusals: RefusalLog;
  readonly limiter: Limiter;
  /** Limits of the configuration, and where those of the admin API are kept and changed. */
  readonly configuredLimits: readonly Limit[];
  readonly limitRules: LimitRules;
  /** Absolute path of the folder for embedded stores. */
  readonly dataDir: string;
  /** Closes what was opened here, in reverse order. */
  close(): Promise<void>;
}

/** A gateway, ready to be started by its server. */
export interface GatewayApp {
  readonly server: GatewayServer;
  /** Stops background work. Called after the server has drained. */
  close(): Promise<void>;
}

/** Opens stores, identity, telemetry and the dialer as the shared sections say. */
export async function openGatewayDeps(options: {
  name: GatewayName;
  config: SharedConfig;
  clock: Clock;
}): Promise<GatewayDeps> {
  const { name, config, clock } = options;
  const dataDir = resolve(config.data_dir);
  const telemetry = createTelemetry({ service: name, config: config.telemetry });
  const sql = await openSqlStore<SharedSchema>({
    url: config.store.url ?? `file:${join(dataDir, 'strata.sqlite')}`,
    config: config.store,
    migrations: sharedMigrations,
    clock,
  });
  const hot = await openHot(config.hot, clock);
  const dialer = createDialer({ config: config.network, clock });
  const secrets = join(dataDir, 'secrets');
  const pepper = pepperOf(config, secrets);
  const envelopeKeys = await openEnvelopeKeys({
    name,
    signingKey: readOrCreateSecret(secrets, `${name}-envelope.jwk`, generateSigningKey),
    sql,
    clock,
    trusted: trustedGateways(config.identity, { dialer, clock, log: telemetry.log }),
  });
  const identity = await openIdentityControl({
    sql,
    hot,
    clock,
    config: config.identity,
    dialer,
    pepper,
    envelopes: createEnvelopeVerifier({ audience: name, keys: envelopeKeys, clock }),
    log: telemetry.log,
  });
  const unfollowSigningKeys = await followChanges({
    watch: identity.watch,
    kind: 'signing-key',
    read: async () => envelopeKeys.forget(),
    clock,
    log: telemetry.log,
  });
  const audit = createAuditLog({
    sql,
    keys: createAuditKeys(pepper),
    signing: envelopeKeys,
    clock,
    log: telemetry.log,
    gateway: name,
    config: config.audit,
  });
  const configuredLimits = toLimits(config.limits);
  const limitRules = createLimitRules({ sql, clock, onChanged: identity.announce });
  const limits = await openLimitsInForce({
    configured: configuredLimits,
    rules: limitRules,
    watch: identity.watch,
    clock,
    log: telemetry.log,
  });
  const limiter = await openLimiter({ limits, hot: config.hot, clock, log: telemetry.log });
  const money = await openMoney({ sql, clock, log: telemetry.log, config });
  const priceStore = createPriceStore({ sql, clock, onChanged: identity.announce });
  const priceOverrides = await openPriceOverrides({
    store: priceStore,
    watch: identity.watch,
    clock,
    log: telemetry.log,
  });
  const refusals = createRefusalLog({ audit, clock, perMinute: config.audit.refusals_per_minute });
  return {
    name,
    clock,
    telemetry,
    sql,
    store: config.store,
    hot,
    dialer,
    keys: identity.keys,
    tree: identity.tree,
    live: identity.live,
    cancelRun: identity.cancelRun,
    isUsable: identity.isUsable,
    policy: createPolicyGuard({
      gateway: name,
      policies: compilePolicies(config.identity.policies),
      clock,
      onDenied: refusals.recordDenial,
    }),
    envelopeKeys,
    ledger: money.ledger,
    budgets: money.budgets,
    limiter,
    configuredLimits,
    limitRules,
    budgetStore: money.budgetStore,
    priceOverrides,
    priceStore,
    sealer: createSealer(pepper),
    authenticate: identity.authenticate,
    issuers: config.identity.issuers.map(({ issuer }) => issuer),
    audit,
    refusals,
    envelopes: createEnvelopeIssuer({ name, keys: envelopeKeys, clock }),
    dataDir,
    async close() {
      await priceOverrides.close();
      await limits.close();
      await unfollowSigningKeys();
      await identity.close();
      await dialer.close();
      await limiter.close();
      await money.close();
      refusals.close();
      await audit.close();
      await hot.close();
      await sql.close();
      await telemetry.shutdown();
    },
  };
}

/** The configured pepper, else one that is made on the first start and kept beside the embedded stores. */
export function pepperOf(config: SharedConfig, secretsDirectory: string): Secret {
  return config.identity.pepper ?? readOrCreateSecret(secretsDirectory, 'pepper', () => randomText(52));
}
