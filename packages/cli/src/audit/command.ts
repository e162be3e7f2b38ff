import { createReadStream, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type AuditKeys, createAuditKeys } from '@strata/shared/audit/audit-keys.ts';
import { exportEntries } from '@strata/shared/audit/audit-query.ts';
import type { ChainFinding } from '@strata/shared/audit/chain-check.ts';
import { auditedTenants, type ChainReport, verifyChain } from '@strata/shared/audit/verify.ts';
import { verifyExport } from '@strata/shared/audit/verify-export.ts';
import { pepperOf } from '@strata/shared/gateway-deps.ts';
import { findStoredKey } from '@strata/shared/identity/envelope-keys.ts';
import { loadSharedConfig, withSqlStore } from '@strata/shared/with-key-store.ts';
import { requireOrder } from '../moment.ts';
import { tellNone } from '../tell-nothing.ts';

export interface VerifyOptions {
  readonly tenant?: string;
  readonly from?: number;
  readonly to?: number;
  /** File with checkpoints that were kept elsewhere, one token a line. */
  readonly checkpoints?: string;
  /** An export of one organisation instead of the log itself. */
  readonly file?: string;
}

const shownFindings = 1000;

/** `strata audit verify`: names every entry that is not as it was entered. Ends with 1 when there is one. */
export async function verifyAudit(options: VerifyOptions): Promise<void> {
  const config = loadSharedConfig();
  const keys = auditKeys(config);
  const anchors = options.checkpoints === undefined ? [] : readTokens(options.checkpoints);
  await withSqlStore(config, async sql => {
    const signing = { publicKey: (keyId: string) => findStoredKey(sql, keyId) };
    if (options.file !== undefined) {
      tell(await verifyExport({ keys, signing }, linesOf(options.file), anchors));
      return;
    }
    const range = rangeOf(options);
    const named = anchors.map(tenantOf).filter(tenant => tenant !== undefined);
    const audited = [...new Set([...(await auditedTenants(sql.db)), ...named])].sort(); // one that is gone as a whole too
    if (options.tenant !== undefined) requireLog(options.tenant, audited);
    else if (audited.length === 0)
      throw new Error('There is no log: nothing was entered, or all of it is gone.');
    const tenants = options.tenant === undefined ? audited : [options.tenant];
    for (const tenant of tenants) {
      const own = anchors.filter(each => (tenantOf(each) ?? tenant) === tenant);
      tell(await verifyChain({ db: sql.db, keys, signing }, { tenant, ...range, anchors: own }));
    }
  });
}

function tell(report: ChainReport | undefined): void {
  if (report === undefined) throw new Error('The file holds no entry.');
  process.stdout.write(describe(report));
  if (report.findings.length > 0 || !report.isComplete) process.exitCode = 1;
}

function linesOf(path: string): AsyncIterable<string> {
  return createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
}

export interface ExportOptions {
  readonly tenant: string;
  readonly from?: number;
  readonly to?: number;
  readonly values: boolean;
}

/** `strata audit export`: the chain of an organisation as JSON lines, without sensitive values unless they are asked for. */
export async function exportAudit(options: ExportOptions): Promise<void> {
  const { tenant, values } = options;
  await withSqlStore(loadSharedConfig(), async sql => {
    requireLog(tenant, await auditedTenants(sql.db));
    const lines = exportEntries(sql.db, { tenant, ...rangeOf(options) }, { withValues: values });
    let isEmpty = true;
    for await (const text of lines) {
      isEmpty = false;
      if (!process.stdout.write(text)) await new Promise(drained => process.stdout.once('drain', drained));
    }
    if (isEmpty) tellNone({ what: 'entry', tenant });
  });
}

function auditKeys(config: ReturnType<typeof loadSharedConfig>): AuditKeys {
  return createAuditKeys(pepperOf(config, join(resolve(config.data_dir), 'secrets')));
}

function readTokens(path: string): string[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
}

/** Whom a token speaks of. What cannot be read speaks of each, and is then a finding. */
function tenantOf(token: string): string | undefined {
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    const isNamed = typeof payload === 'object' && payload !== null && 'tenant' in payload;
    return isNamed && typeof payload.tenant === 'string' ? payload.tenant : undefined;
  } catch {
    return undefined; // no JSON
  }
}

/** A name that was mistyped must not be told to be intact. */
function requireLog(tenant: string, audited: readonly string[]): void {
  if (audited.includes(tenant)) return;
  throw new Error(`There is no log of '${tenant}'.`);
}

function rangeOf({ from, to }: Pick<VerifyOptions, 'from' | 'to'>) {
  requireOrder(from, to);
  return { fromMs: from, toMs: to };
}

function describe({ tenant, checked, checkpoints, findings, isComplete }: ChainReport): string {
  const state = findings.length === 0 && isComplete ? 'intact' : 'NOT INTACT';
  const lines = findings.slice(0, shownFindings).map(finding => `  ${sentence(finding)}\n`);
  const more =
    findings.length > shownFindings ? `  and ${findings.length - shownFindings} more findings\n` : '';
  const early = isComplete ? '' : '  so much is wrong that the rest was not read\n';
  return `${tenant}: ${state}, ${checked} entries, ${checkpoints} checkpoints\n${lines.join('')}${more}${early}`;
}

function sentence(finding: ChainFinding): string {
  switch (finding.type) {
    case 'changed':
      return `${entries(finding)} changed`;
    case 'removed':
      return `${entries(finding)} removed`;
    case 'truncated':
      return `${entries(finding)} cut off from the end`;
    case 'inserted':
      return `${entries(finding)} inserted, never entered`;
    case 'moved':
      return `${entries(finding)} moved to ${finding.to}`;
    case 'value_changed':
      return `entry ${finding.seq}: the value '${finding.name}' kept beside it changed`;
    case 'rewritten':
      return `entry ${finding.seq} is not the one that was signed or that the next one follows: the log was set back`;
    case 'checkpoint_forged':
      return `checkpoint ${finding.seq} is not signed by a gateway of this installation`;
    case 'head_changed':
      return `the recorded end of the chain was changed; its end is ${finding.seq}`;
  }
}

function entries({ seq, count }: { readonly seq: number; readonly count: number }): string {
  return count === 1 ? `entry ${seq}` : `entries ${seq} to ${seq + count - 1}`;
}
