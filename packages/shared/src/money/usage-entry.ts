import type { GatewayName } from '../identity/envelope.ts';
import { columnText } from '../stores/column-text.ts';
import type { Charge } from './budget.ts';
import type { MoneySchema } from './money-schema.ts';
import type { Usage } from './usage.ts';

/** What one attempt at an upstream used and cost. */
export interface LedgerEntry {
  /** Of the attempt: an entry that is recorded twice is stored once. */
  readonly id: string;
  /** When the attempt began, wall clock. */
  readonly atMs: number;
  readonly durationMs: number;
  readonly gateway: GatewayName;
  readonly tenant: string;
  readonly team?: string | undefined;
  readonly project?: string | undefined;
  readonly principal: string;
  readonly keyId: string | undefined;
  readonly tags?: readonly string[];
  readonly runId: string | undefined;
  readonly taskId: string | undefined;
  /** The agent that acted for the principal. */
  readonly agent?: string | undefined;
  /** The name the caller asked for. */
  readonly alias: string;
  readonly provider: string;
  readonly model: string;
  readonly tool?: string | undefined;
  readonly serviceTier?: string | undefined;
  readonly outcome: string;
  readonly usage: Usage | undefined;
  readonly usageSource: string;
  /** Undefined when the usage or a price is not known ($-2). */
  readonly costNanoUsd: bigint | undefined;
  readonly priceVersion: string | undefined;
  /** Which budgets bear the cost; booked with the entry, or not at all. */
  readonly charges?: readonly Charge[];
}

const names = [
  ...(['tenant', 'team', 'project', 'principal', 'keyId', 'runId', 'taskId', 'agent'] as const),
  ...(['alias', 'provider', 'model', 'tool', 'serviceTier'] as const),
] satisfies readonly (keyof LedgerEntry)[];

/**
 * The entries with names that every engine can hold. Callers and upstreams choose some of them: one that could not be stored would keep all that wait
 * with it from being booked. Most entries have the names of the one before.
 */
export function storableEntries(entries: readonly LedgerEntry[]): LedgerEntry[] {
  let kept: LedgerEntry | undefined; // the last one that could be stored as it was
  return entries.map(entry => {
    if (kept !== undefined && haveSameNames(kept, entry)) return entry;
    const storable = storableEntry(entry);
    if (storable === entry) kept = entry;
    return storable;
  });
}

/** Whether all that says whose entries they are, and what was called, is the same. */
export function haveSameNames(one: LedgerEntry, other: LedgerEntry): boolean {
  if (one.tags !== other.tags) return false;
  for (const name of names) if (one[name] !== other[name]) return false;
  return true;
}

function storableEntry(entry: LedgerEntry): LedgerEntry {
  let storable = entry;
  for (const name of names) {
    const text = entry[name];
    const kept = text && columnText(text);
    if (kept !== text) storable = { ...storable, [name]: kept };
  }
  if (entry.tags?.some(tag => columnText(tag) !== tag))
    storable = { ...storable, tags: entry.tags.map(tag => columnText(tag)) };
  return storable;
}

export function toLedgerRow(entry: LedgerEntry): MoneySchema['usage_ledger'] {
  const { usage } = entry;
  return {
    id: entry.id,
    at_ms: entry.atMs,
    duration_ms: Math.round(entry.durationMs),
    gateway: entry.gateway,
    tenant: entry.tenant,
    team: entry.team ?? null,
    project: entry.project ?? null,
    principal: entry.principal,
    key_id: entry.keyId ?? null,
    tags: entry.tags === undefined || entry.tags.length === 0 ? null : JSON.stringify(entry.tags),
    run_id: entry.runId ?? null,
    task_id: entry.taskId ?? null,
    agent: entry.agent ?? null,
    alias: entry.alias,
    provider: entry.provider,
    model: entry.model,
    tool: entry.tool ?? null,
    service_tier: entry.serviceTier ?? null,
    outcome: entry.outcome,
    usage_source: entry.usageSource,
    input: usage?.input ?? null,
    cache_read: usage?.cacheRead ?? null,
    cache_write: usage?.cacheWrite ?? null,
    cache_write_1h: usage?.cacheWrite1h ?? null,
    audio: usage ? audioOf(usage) : null,
    image: usage ? imageOf(usage) : null,
    output: usage?.output ?? null,
    reasoning: usage?.reasoning ?? null,
    tool_units: usage ? (usage.toolUnits ?? 0) : null,
    audio_seconds: usage ? (usage.audioSeconds ?? 0) : null,
    cost_nano_usd: entry.costNanoUsd ?? null,
    price_version: entry.priceVersion ?? null,
  };
}

export function audioOf({ audioInput = 0, audioOutput = 0 }: Usage): number {
  return audioInput + audioOutput;
}

export function imageOf({ imageInput = 0, imageOutput = 0 }: Usage): number {
  return imageInput + imageOutput;
}
