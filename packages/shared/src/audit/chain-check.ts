import { hash } from 'node:crypto';
import { canonicalJson, type JsonValue } from '../json/canonical-json.ts';
import { sealedEnd } from './append.ts';
import type { AuditKeys } from './audit-keys.ts';
import { type AuditRecord, filterColumns, genesisHash } from './audit-record.ts';
import type { AuditSchema } from './audit-schema.ts';
import { NumberRanges } from './number-ranges.ts';

/** What is wrong with a chain, by the number of the entry. `count` entries in a row are one finding. */
export type ChainFinding =
  /** What stands at the place of these entries is not what was entered. */
  | { readonly type: 'changed'; readonly seq: number; readonly count: number }
  /** These entries are gone. */
  | { readonly type: 'removed'; readonly seq: number; readonly count: number }
  /** These entries are gone from the end. */
  | { readonly type: 'truncated'; readonly seq: number; readonly count: number }
  /** What stands at these places was never entered, or is the copy of another entry. */
  | { readonly type: 'inserted'; readonly seq: number; readonly count: number }
  /** These entries stand at other places, the first of them at `to`. */
  | { readonly type: 'moved'; readonly seq: number; readonly to: number; readonly count: number }
  /** A value kept beside the entry is not the one that was entered. */
  | { readonly type: 'value_changed'; readonly seq: number; readonly name: string }
  /** The entry is genuine but not the one that was signed, or that the next one follows: the log was set back and went on. */
  | { readonly type: 'rewritten'; readonly seq: number }
  /** No gateway of this installation has signed the checkpoint. */
  | { readonly type: 'checkpoint_forged'; readonly seq: number }
  /** The recorded end of the chain is not its end. */
  | { readonly type: 'head_changed'; readonly seq: number };

export type ChainRow = AuditSchema['audit_entries'] & { readonly named_values: string | null };

/** A run of genuine entries that do not stand at their place. */
interface Displaced {
  readonly seq: number;
  readonly place: number;
  count: number;
}

/** Findings and runs beyond this are not kept: the log is not slightly damaged then. */
const maxKept = 100_000;

/**
 * Checks one chain, handed in by place, in memory that does not grow with its length. An entry is genuine when it bears the seal of
 * the installation; a genuine entry says where it belongs. So each place holds the entry that belongs there, another one, a forgery,
 * or nothing, and what happened to an entry follows from what its place and the others hold.
 */
export class ChainCheck {
  readonly #tenant: string;
  readonly #keys: AuditKeys;
  readonly #from: number;
  readonly #forged = new NumberRanges();
  readonly #empty = new NumberRanges();
  readonly #displaced: Displaced[] = [];
  readonly #findings: ChainFinding[] = [];
  #nextPlace: number;
  #before: { readonly place: number; readonly hash: string } | undefined;
  #lastGenuine: number;
  #checked = 0;

  /** `from` is the first place; `before` the genuine entry before it, where that is known. */
  constructor(options: { tenant: string; keys: AuditKeys; from: number; before?: string | undefined }) {
    this.#tenant = options.tenant;
    this.#keys = options.keys;
    this.#from = options.from;
    this.#nextPlace = options.from;
    this.#lastGenuine = options.from - 1;
    const hashBefore = options.from === 1 ? genesisHash : options.before;
    if (hashBefore !== undefined) this.#before = { place: options.from - 1, hash: hashBefore };
  }

  get checked(): number {
    return this.#checked;
  }

  /** Whether so much is wrong that the rest need not be read. */
  get isHopeless(): boolean {
    return this.#findings.length + this.#displaced.length + this.#forged.size + this.#empty.size > maxKept;
  }

  /** Rows in the order of their places. `signed` is the hash that a checkpoint gives for the place. */
  row(row: ChainRow, signed: string | undefined): void {
    const place = row.seq;
    this.#checked++;
    this.#leaveEmpty(place);
    this.#nextPlace = place + 1;
    const record = genuineRecord(row, this.#tenant, this.#keys);
    if (record === undefined) {
      this.#forged.add(place);
      return;
    }
    this.#checkValues(row, record);
    this.#lastGenuine = Math.max(this.#lastGenuine, record.seq);
    if (record.seq !== place) {
      this.#displace(record.seq, place);
      return;
    }
    const isLinked =
      this.#before === undefined || this.#before.place !== place - 1 || this.#before.hash === record.previous;
    if (!isLinked) this.#findings.push({ type: 'rewritten', seq: place - 1 });
    if (signed !== undefined && signed !== row.hash) this.#findings.push({ type: 'rewritten', seq: place });
    this.#before = { place, hash: row.hash };
  }

  /** An entry of an export that stands after one of a later place: a copy, or one that was moved. */
  outOfOrder(seq: number): void {
    this.#report('inserted', seq);
  }

  checkpointForged(seq: number): void {
    this.#findings.push({ type: 'checkpoint_forged', seq });
  }

  /** `atLeast` is the last entry that checkpoints know of; `to` ends the check before the end of the chain. */
  finish(end: {
    head: AuditSchema['audit_heads'] | undefined;
    atLeast: number;
    to?: number | undefined;
  }): ChainFinding[] {
    const { head, atLeast, to = Number.POSITIVE_INFINITY } = end;
    const isGenuine = head !== undefined && sealedEnd(this.#keys, head).seal === head.seal;
    const seen = Math.max(atLeast, this.#lastGenuine, this.#from - 1);
    const known = isGenuine ? Math.max(head.seq, seen) : seen;
    const last = Math.min(known, to);
    this.#leaveEmpty(last + 1);
    this.#classify(last);
    const isOther = this.#before?.place === head?.seq && this.#before?.hash !== head?.hash;
    if (to >= known && known > 0 && (!isGenuine || head.seq < known || isOther))
      this.#findings.push({ type: 'head_changed', seq: known });
    return this.#findings.sort(byPlace);
  }

  #leaveEmpty(before: number): void {
    if (before > this.#nextPlace) this.#empty.add(this.#nextPlace, before - 1);
    this.#nextPlace = Math.max(this.#nextPlace, before);
  }

  #displace(seq: number, place: number): void {
    const run = this.#displaced.at(-1);
    const continues = run && run.seq + run.count === seq && run.place + run.count === place;
    if (continues) run.count++;
    else this.#displaced.push({ seq, place, count: 1 });
  }

  #checkValues(row: ChainRow, record: AuditRecord): void {
    if (row.named_values === null) return; // taken out, or there were none
    for (const [name, value] of Object.entries(parseObject(row.named_values) ?? { '': null })) {
      const entered = record.sensitive?.[name];
      if (entered !== this.#keys.commit(this.#tenant, name, value))
        this.#findings.push({ type: 'value_changed', seq: record.seq, name });
    }
  }

  #classify(last: number): void {
    const bySeq = [...this.#displaced].sort((left, right) => left.seq - right.seq);
    const elsewhere = new NumberRanges();
    for (const run of bySeq) elsewhere.add(run.seq, run.seq + run.count - 1);
    const displacedPlaces = new NumberRanges();
    for (const run of this.#displaced) displacedPlaces.add(run.place, run.place + run.count - 1);
    const isAway = (seq: number) =>
      seq < this.#from ||
      seq > last ||
      this.#forged.has(seq) ||
      this.#empty.has(seq) ||
      displacedPlaces.has(seq);

    const moved = new NumberRanges();
    for (const run of bySeq) this.#judgeRun(run, isAway, moved);
    const missing = (places: NumberRanges, type: 'changed' | 'removed') => {
      for (const place of places.values()) {
        if (place > last || elsewhere.has(place)) continue;
        this.#report(type, place);
      }
    };
    for (const place of this.#forged.values()) {
      if (place > last || elsewhere.has(place)) this.#report('inserted', place);
    }
    missing(this.#forged, 'changed');
    missing(displacedPlaces, 'removed');
    const tail = this.#tailOf(last);
    for (const place of this.#empty.values()) {
      if (place <= last && !elsewhere.has(place))
        this.#report(place >= tail ? 'truncated' : 'removed', place);
    }
  }

  /** First of the empty places at the end. */
  #tailOf(last: number): number {
    const range = this.#empty.last;
    return range !== undefined && range.to >= last ? range.from : last + 1;
  }

  /** A genuine entry at another place was moved there; unless it also stands where it belongs, or elsewhere before: then this is a copy. */
  #judgeRun(run: Displaced, isAway: (seq: number) => boolean, moved: NumberRanges): void {
    for (let index = 0; index < run.count; index++) {
      const seq = run.seq + index;
      const place = run.place + index;
      if (!isAway(seq) || moved.has(seq)) {
        this.#report('inserted', place);
        continue;
      }
      moved.add(seq);
      const before = this.#findings.at(-1);
      const continues =
        before?.type === 'moved' && before.seq + before.count === seq && before.to + before.count === place;
      if (continues) this.#findings[this.#findings.length - 1] = { ...before, count: before.count + 1 };
      else this.#findings.push({ type: 'moved', seq, to: place, count: 1 });
    }
  }

  #report(type: 'changed' | 'removed' | 'truncated' | 'inserted', seq: number): void {
    const before = this.#findings.at(-1);
    const continues = before?.type === type && before.seq + before.count === seq;
    if (continues) this.#findings[this.#findings.length - 1] = { ...before, count: before.count + 1 };
    else this.#findings.push({ type, seq, count: 1 });
  }
}

function byPlace(left: ChainFinding, right: ChainFinding): number {
  return left.seq - right.seq || (left.type < right.type ? -1 : 1);
}

/** The record of a row that the installation has written, and whose columns still say what it says. */
export function genuineRecord(row: ChainRow, tenant: string, keys: AuditKeys): AuditRecord | undefined {
  if (hash('sha256', row.record) !== row.hash || keys.seal(tenant, row.hash) !== row.seal) return undefined;
  const record = JSON.parse(row.record) as AuditRecord; // sealed, so it is as `recordOf` wrote it
  const expected = Object.entries(filterColumns(record));
  const columns: Readonly<Record<string, unknown>> = row;
  return record.tenant === tenant && expected.every(([name, value]) => columns[name] === value)
    ? record
    : undefined;
}

function parseObject(text: string): Readonly<Record<string, JsonValue>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || canonicalJson(value) !== text) return undefined;
    return value as Readonly<Record<string, JsonValue>>; // what `JSON.parse` gives is JSON
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
