import * as z from 'zod';
import type { EnvelopeKeys } from '../identity/envelope-keys.ts';
import { canonicalJson, type JsonValue } from '../json/canonical-json.ts';
import { sealedEnd } from './append.ts';
import type { AuditKeys } from './audit-keys.ts';
import {
  type AuditRecord,
  auditCategories,
  auditOutcomes,
  type FilterColumns,
  filterColumns,
} from './audit-record.ts';
import { ChainCheck, type ChainRow } from './chain-check.ts';
import { type ChainReport, readSigned } from './verify.ts';

/** An entry of an export, as far as it has to be read before it is known to be genuine. */
const exportedEntry = z.object({
  seq: z.int().positive(),
  record: z.record(z.string(), z.unknown()),
  hash: z.string(),
  seal: z.string(),
  values: z.record(z.string(), z.unknown()).optional(),
});

interface ExportDeps {
  readonly keys: AuditKeys;
  readonly signing: Pick<EnvelopeKeys, 'publicKey'>;
}

/**
 * Checks the chain in an export of one organisation: JSON lines, whole or from one moment to another, redacted or not. Where it begins
 * and ends only checkpoints can tell; what stands between is checked like the log itself.
 *
 * @throws Error naming the line that is no entry.
 */
export async function verifyExport(
  deps: ExportDeps,
  lines: AsyncIterable<string>,
  anchors: readonly string[],
): Promise<ChainReport | undefined> {
  let chain: { readonly tenant: string; readonly check: ChainCheck } | undefined;
  let signed: ReadonlyMap<number, string> = new Map();
  let last: ChainRow | undefined;
  let number = 0;
  for await (const line of lines) {
    number++;
    if (line.trim() === '') continue;
    const row = rowOf(line, number);
    if (chain === undefined) {
      const { tenant } = row;
      chain = { tenant, check: new ChainCheck({ tenant, keys: deps.keys, from: row.seq }) };
      const tokens = anchors.map(token => ({ seq: undefined, token }));
      signed = await readSigned(deps, chain.check, tenant, tokens);
    }
    if (last !== undefined && row.seq <= last.seq) chain.check.outOfOrder(row.seq);
    else {
      chain.check.row(row, signed.get(row.seq));
      last = row;
    }
  }
  if (chain === undefined || last === undefined) return undefined;
  const { tenant, check } = chain;
  const end = sealedEnd(deps.keys, { tenant, seq: last.seq, hash: last.hash });
  const findings = check.finish({ head: end, atLeast: Math.max(0, ...signed.keys()) });
  return {
    tenant,
    checked: check.checked,
    checkpoints: signed.size,
    // A file has no recorded end that anybody could have changed.
    findings: findings.filter(({ type }) => type !== 'head_changed'),
    isComplete: !check.isHopeless,
  };
}

/** As it stands in the store. */
function rowOf(line: string, number: number): ChainRow {
  const { seq, hash, seal, record, values } = readEntry(line, number);
  const known = recordShape.safeParse(record);
  // One that the installation entered has this shape; of another nothing is looked at but its hash.
  const columns = known.success ? filterColumns(record as unknown as AuditRecord) : noColumns;
  return {
    ...columns,
    tenant: typeof record.tenant === 'string' ? record.tenant : '',
    seq,
    record: textOf(record) ?? '',
    hash,
    seal,
    named_values: values === undefined ? null : (textOf(values) ?? ''),
  };
}

function readEntry(line: string, number: number): z.output<typeof exportedEntry> {
  try {
    return exportedEntry.parse(JSON.parse(line));
  } catch (error) {
    throw new Error(`Line ${number} is no entry of an export.`, { cause: error });
  }
}

const text = z.string();
const recordShape = z.object({
  id: text,
  at_ms: z.int(),
  category: z.enum(auditCategories),
  action: text,
  outcome: z.enum(auditOutcomes),
  principal: text.optional(),
  key_id: text.optional(),
  target: z.object({ type: text, id: text }).optional(),
  run_id: text.optional(),
  trace_id: text.optional(),
});

const noColumns: FilterColumns = {
  ...{ id: '', at_ms: 0, category: '', action: '', outcome: '' },
  ...{ principal: null, key_id: null, target: null, run_id: null, trace_id: null },
};

/** Undefined for what has no canonical form, so that nobody can have sealed it. */
function textOf(value: Readonly<Record<string, unknown>>): string | undefined {
  try {
    return canonicalJson(value as JsonValue); // what `JSON.parse` gives is JSON
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
