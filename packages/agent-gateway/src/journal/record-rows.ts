import { crc32 } from 'node:zlib';
import { digestOf } from '@strata/shared/json/canonical-json.ts';
import { corruptJournal } from '../domain/journal-errors.ts';
import type { JournalRecord, RunEvent } from '../domain/run-events.ts';
import type { Row } from './rows.ts';

/** Members of an event that are larger than this, as JSON, are kept once for all records that have the same. */
export const blobThreshold = 16 * 1024;

export interface Blob {
  /** SHA-256 of the body. */
  readonly hash: string;
  /** JSON. */
  readonly body: string;
}

/** The columns of a record. */
export interface RecordRow {
  /** The event as JSON, without what is kept beside it. */
  readonly payload: string;
  /** `{ fields: { member: hash }, bytes }`, as JSON; null when nothing is kept beside it. */
  readonly refs: string | null;
  readonly checksum: number;
  readonly blobs: readonly Blob[];
}

interface Refs {
  readonly fields: Readonly<Record<string, string>>;
  /** Size of the whole event. */
  readonly bytes: number;
}

/** Takes large members out of an event. */
export function splitRecord(whole: string): RecordRow {
  if (whole.length <= blobThreshold) return row(whole, null, []);
  const small: Record<string, unknown> = {};
  const fields: Record<string, string> = {};
  const blobs: Blob[] = [];
  for (const [member, value] of Object.entries(JSON.parse(whole) as object)) {
    const body = JSON.stringify(value);
    if (body.length <= blobThreshold) small[member] = value;
    else {
      const hash = digestOf(body);
      fields[member] = hash;
      blobs.push({ hash, body });
    }
  }
  const refs: Refs = { fields, bytes: whole.length };
  return blobs.length === 0 ? row(whole, null, []) : row(JSON.stringify(small), JSON.stringify(refs), blobs);
}

function row(payload: string, refs: string | null, blobs: readonly Blob[]): RecordRow {
  return { payload, refs, checksum: checksumOf(payload, refs), blobs };
}

const checksumOf = (payload: string, refs: string | null) => crc32(refs ?? '', crc32(payload));

/**
 * The record of a row with `bodies`, the blobs that it names as a JSON object of texts by hash. What was changed on disk is no record
 * (F90).
 *
 * @throws GatewayError internal (`journal_corrupt`).
 */
export function joinRecord(kept: Row): JournalRecord {
  const payload = String(kept.payload);
  const refs = kept.refs === null ? null : String(kept.refs);
  const seq = Number(kept.seq);
  // Records from before there were checksums have none.
  if (kept.checksum !== null && Number(kept.checksum) !== checksumOf(payload, refs)) throw corruptRecord(seq);
  const atMs = Number(kept.at_ms);
  const event = JSON.parse(payload) as RunEvent; // what the engine made of it
  if (refs === null) return { seq, atMs, event, bytes: payload.length };
  const { fields, bytes } = JSON.parse(refs) as Refs; // by `splitRecord`
  const bodies = JSON.parse(String(kept.bodies ?? '{}')) as Readonly<Record<string, string>>; // by the query
  const large = Object.entries(fields).map(([member, hash]) => {
    const body = bodies[hash];
    if (body === undefined || digestOf(body) !== hash) throw corruptRecord(seq);
    return [member, JSON.parse(body) as unknown] as const;
  });
  return { seq, atMs, event: { ...event, ...Object.fromEntries(large) }, bytes };
}

const corruptRecord = (seq: number) => corruptJournal(`Record ${seq} of the run is not what was written.`);
