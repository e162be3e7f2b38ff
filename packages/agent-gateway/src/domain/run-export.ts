import { canonicalJson, digestOf } from '@strata/shared/json/canonical-json.ts';
import * as z from 'zod';
import type { RunEvent } from './run-events.ts';

const record = z.strictObject({
  seq: z.int().min(1),
  at_ms: z.int().min(0),
  event: z.looseObject({ type: z.string() }),
});

/** Requests that go with a run. */
export const carriedRequests = [
  'cancel',
  'terminate',
  'pause',
  'resume',
  'signal',
  'event',
  'resolve',
] as const;

const asked = z.strictObject({
  kind: z.enum(carriedRequests),
  payload: z.unknown(),
  by: z.string(),
});

const run = z.strictObject({
  id: z.string().min(1).max(100),
  namespace: z.string(),
  name: z.string(),
  version: z.string(),
  definition: z.string(),
  /** All that it had recorded, in order. */
  records: z.array(record).min(1),
  /** What it was asked and had not answered. */
  requests: z.array(asked),
});

/** Runs with all that they need to go on elsewhere. */
export const runExportSchema = z.strictObject({
  format: z.literal('strata-run-export/1'),
  /** SHA-256 of all the rest, as canonical JSON. */
  digest: z.string(),
  tenant: z.string(),
  exported_at: z.iso.datetime(),
  /** `moved`: they go on nowhere but where this is imported. `copy`: to be read. */
  kind: z.enum(['moved', 'copy']),
  redacted: z.boolean(),
  /** Canonical documents by their hash. */
  definitions: z.record(z.string(), z.string()),
  /** The run that was asked for, then those that it waits for. */
  runs: z.array(run).min(1).max(1000),
});

export type RunExport = z.output<typeof runExportSchema>;
export type ExportedRun = RunExport['runs'][number];

export function digestOfExport({
  digest: _,
  ...rest
}: Omit<RunExport, 'digest'> & { digest?: string }): string {
  return digestOf(canonicalJson(rest));
}

/** Members of events that hold what users, models and tools said. */
const said = new Set([
  'input',
  'arguments',
  'data',
  'variables',
  'result',
  'output',
  'context',
  'text',
  'outcome',
  'event',
  'match',
  'resolution',
  'error',
]);

/** The record without data: of each value its size and its hash, so that equal values are seen to be equal. */
export function redact(event: RunEvent | { readonly type: string }): {
  type: string;
  [member: string]: unknown;
} {
  const members = Object.entries(event).map(([member, value]) => {
    if (!said.has(member)) return [member, value] as const;
    const text = canonicalJson(value);
    return [member, { redacted: { bytes: text.length, digest: digestOf(text) } }] as const;
  });
  return Object.fromEntries([['type', event.type], ...members]) as { type: string }; // its own type
}
