import { canonicalJson, digestOf, type JsonValue } from '../json/canonical-json.ts';
import { columnText } from '../stores/column-text.ts';
import type { AuditSchema } from './audit-schema.ts';

export const auditCategories = [
  'admin',
  'auth_failure',
  'policy_denial',
  'tool_call',
  'approval',
  'handoff',
  /** What the log says about itself. */
  'log',
] as const;
export type AuditCategory = (typeof auditCategories)[number];

export const auditOutcomes = ['succeeded', 'failed', 'refused'] as const;
export type AuditOutcome = (typeof auditOutcomes)[number];

/** The chain of what belongs to no tenant, such as calls with an unknown key. No tenant can have this name: it holds a space. */
export const installationTenant = 'the installation';

/** Something that was done, or refused, in the words of whoever reports it. */
export interface AuditEvent {
  readonly tenant: string;
  readonly category: AuditCategory;
  /** What was done, noun and verb: `key.create`, `tool.call`. */
  readonly action: string;
  readonly outcome: AuditOutcome;
  /** The reason of the error, when it did not succeed. */
  readonly reason?: string | undefined;
  readonly principal?: string | undefined;
  readonly keyId?: string | undefined;
  /** Who acted for the principal, newest first, as in an envelope. */
  readonly actors?: readonly string[] | undefined;
  readonly target?: { readonly type: string; readonly id: string } | undefined;
  readonly runId?: string | undefined;
  readonly taskId?: string | undefined;
  readonly traceId?: string | undefined;
  readonly requestId?: string | undefined;
  /** Facts for everybody who may read the log. Never secrets. */
  readonly details?: JsonValue | undefined;
  /** Facts that are kept beside the log: the record holds their keyed hashes. */
  readonly sensitive?: Readonly<Record<string, JsonValue>> | undefined;
}

/** An event with its id, the moment it happened, and the gateway that saw it. */
export interface DatedEvent {
  readonly id: string;
  readonly atMs: number;
  readonly gateway: string;
  readonly event: AuditEvent;
}

/** What is hashed and exported: one entry, at its place in the chain of its tenant. */
export interface AuditRecord {
  readonly v: 1;
  readonly id: string;
  readonly tenant: string;
  readonly seq: number;
  /** Hash of the entry before; 64 zeros before the first. */
  readonly previous: string;
  readonly at_ms: number;
  readonly gateway: string;
  readonly category: AuditCategory;
  readonly action: string;
  readonly outcome: AuditOutcome;
  readonly reason?: string | undefined;
  readonly principal?: string | undefined;
  readonly key_id?: string | undefined;
  readonly actors?: readonly string[] | undefined;
  readonly target?: { readonly type: string; readonly id: string } | undefined;
  readonly run_id?: string | undefined;
  readonly task_id?: string | undefined;
  readonly trace_id?: string | undefined;
  readonly request_id?: string | undefined;
  readonly details?: JsonValue | undefined;
  /** Name → keyed hash. */
  readonly sensitive?: Readonly<Record<string, string>> | undefined;
}

export const genesisHash = '0'.repeat(64);
const maxDetailsLength = 16 * 1024;
const maxColumnLength = 512;

/** What is entered of an event. Its canonical JSON is what is hashed. */
export function recordOf(
  { id, atMs, gateway, event }: DatedEvent,
  place: { readonly seq: number; readonly previous: string },
  commitments: Readonly<Record<string, string>> | undefined,
): AuditRecord {
  // In the order of RFC 8785, which is how it is written.
  return {
    action: event.action,
    actors: event.actors,
    at_ms: atMs,
    category: event.category,
    details: boundedDetails(event.details),
    gateway,
    id,
    key_id: event.keyId,
    outcome: event.outcome,
    previous: place.previous,
    principal: event.principal,
    reason: event.reason,
    request_id: event.requestId,
    run_id: event.runId,
    sensitive: commitments,
    seq: place.seq,
    target: event.target && { id: event.target.id.slice(0, maxColumnLength), type: event.target.type },
    task_id: event.taskId,
    tenant: event.tenant,
    trace_id: event.traceId,
    v: 1,
  };
}

/** Details come from callers as well, so they are bounded: what is larger is entered as its digest. */
function boundedDetails(details: JsonValue | undefined): JsonValue | undefined {
  if (details === undefined || isShort(details)) return details;
  const text = textOf(details);
  if (text === undefined) return { not_json: true };
  return text.length <= maxDetailsLength ? details : { too_large: text.length, digest: digestOf(text) };
}

const maxLetterLength = 6; // an escape
const maxNumberLength = 30; // with what stands around it

/** Whether they are a few names with short texts and numbers, as most are: written out, they can only be shorter than the limit. */
function isShort(details: JsonValue): boolean {
  if (typeof details !== 'object' || details === null || Array.isArray(details)) return false;
  let length = 2;
  for (const [name, value] of Object.entries(details)) {
    if (typeof value === 'string') length += value.length * maxLetterLength;
    else if (typeof value !== 'number' || !Number.isFinite(value)) return false;
    length += name.length * maxLetterLength + maxNumberLength;
  }
  return length <= maxDetailsLength;
}

/** An entry with a fact that cannot be written is worth more than no entry. */
function textOf(details: JsonValue): string | undefined {
  try {
    return canonicalJson(details);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

export type FilterColumns = Omit<AuditSchema['audit_entries'], 'tenant' | 'seq' | 'record' | 'hash' | 'seal'>;

/** The columns by which an entry is found. They follow from the record, so a verifier can tell when one was changed. */
export function filterColumns(record: AuditRecord): FilterColumns {
  const { target } = record;
  return {
    id: record.id,
    at_ms: record.at_ms,
    category: record.category,
    action: columnText(record.action),
    outcome: record.outcome,
    principal: optionalText(record.principal),
    key_id: optionalText(record.key_id),
    target: optionalText(target && `${target.type}:${target.id}`),
    run_id: optionalText(record.run_id),
    trace_id: optionalText(record.trace_id),
  };
}

function optionalText(text: string | undefined): string | null {
  return text === undefined ? null : columnText(text);
}
