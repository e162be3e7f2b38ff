import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sized } from '@strata/shared/testing/size.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Claim } from '../src/domain/append.ts';
import type { Journal } from '../src/domain/journal.ts';
import { openSqliteJournal } from '../src/journal/sqlite/sqlite-journal.ts';
import { createMemoryJournal } from './support/memory-journal.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';
import { progress } from './support/progress.ts';
import { runEvent } from './support/run-event.ts';

/**
 * Leases and epochs against a model of thirty lines: whatever three workers do in whatever order, also long after they lost a run, a
 * journal says what the model says. The seed repeats a failure.
 */

const seed = Number(process.env.STRATA_PROPERTY_SEED ?? Date.now() % 2 ** 31);
process.stdout.write(`lease model: STRATA_PROPERTY_SEED=${seed}\n`);
const leaseMs = 1000;
const owners = ['a', 'b', 'c'] as const;
const folder = mkdtempSync(join(tmpdir(), 'strata-lease-model-'));
let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await openTestPostgres();
});
afterAll(async () => {
  await postgres.close();
  rmSync(folder, { recursive: true });
});

/** What a run is to those who want to work on it. */
interface Model {
  nowMs: number;
  epoch: number;
  owner: string | undefined;
  wakeAtMs: number | undefined;
  inbox: number;
  readonly texts: string[];
  hasEnded: boolean;
  /** Claims that were ever given, also those that are void, and where their holders believe the run to be. */
  readonly claims: { readonly owner: string; readonly claim: Claim; position: number }[];
}

interface Real {
  readonly journal: Journal;
  readonly runId: string;
}

type Command = fc.AsyncCommand<Model, Real, boolean>;

/** A command that says what it does and can always be tried. */
function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return { check: () => true, run, toString: () => name };
}

const isDue = ({ wakeAtMs, nowMs }: Model) => wakeAtMs !== undefined && wakeAtMs <= nowMs;

const claim = (owner: string) =>
  command(`${owner} claims`, async (model, { journal, runId }) => {
    const claims = await journal.claim({ owner, nowMs: model.nowMs, leaseMs, limit: 10 });
    const [given] = claims.filter(each => each.runId === runId);
    expect(given !== undefined).toBe(isDue(model));
    if (given === undefined) return;
    expect(given.epoch).toBe(++model.epoch);
    Object.assign(model, { owner, wakeAtMs: model.nowMs + leaseMs });
    model.claims.push({ owner, claim: given, position: model.texts.length });
  });

/** By any claim that was ever given; once more as after an answer that was lost. */
const append = (pick: number, isFinal: boolean) =>
  command(`claim ${pick} ${isFinal ? 'ends the run' : 'appends'}`, async (model, { journal }) => {
    const held = model.claims.at(pick % Math.max(1, model.claims.length));
    if (held === undefined) return;
    const text = `${model.texts.length} by ${held.claim.epoch}`;
    const payload = JSON.stringify({ type: 'run-started', traceparent: text });
    const given = {
      claim: held.claim,
      position: held.position,
      records: [{ kind: 'run-started' as const, payload, atMs: model.nowMs }],
      progress,
      atMs: model.nowMs,
      isFinal,
    };
    const isLast = held.position === model.texts.length;
    const isMine = held.claim.epoch === model.epoch && model.owner !== undefined && isLast;
    expect(await journal.append(given)).toBe(isMine);
    if (!isMine) return;
    held.position++;
    model.texts.push(text);
    expect(await journal.append({ ...given, isRepeat: true })).toBe(true);
    if (isFinal) Object.assign(model, { hasEnded: true, owner: undefined, wakeAtMs: undefined, inbox: 0 });
  });

const renew = (owner: string) =>
  command(`${owner} renews`, async (model, { journal, runId }) => {
    const { held } = await journal.renew({ owner, runIds: [runId], nowMs: model.nowMs, leaseMs });
    expect(held).toEqual(model.owner === owner ? [runId] : []);
    if (model.owner === owner) model.wakeAtMs = model.nowMs + leaseMs;
  });

const release = (pick: number, afterMs: number) =>
  command(`claim ${pick} lets go for ${afterMs} ms`, async (model, { journal }) => {
    const held = model.claims.at(pick % Math.max(1, model.claims.length));
    if (held === undefined) return;
    const wakeAtMs = model.nowMs + afterMs;
    const isMine = held.claim.epoch === model.epoch && model.owner !== undefined;
    const options = { wakeAtMs, status: 'waiting', nowMs: model.nowMs } as const;
    expect(await journal.release(held.claim, options)).toBe(isMine);
    if (isMine) Object.assign(model, { owner: undefined, wakeAtMs: model.inbox > 0 ? 0 : wakeAtMs });
  });

const ask = command('somebody asks', async (model, { journal, runId }) => {
  const asked = { kind: 'pause', payload: {}, by: 'p', atMs: model.nowMs } as const;
  expect(await journal.request('t', runId, asked)).toBe(!model.hasEnded);
  if (model.hasEnded) return;
  model.inbox++;
  if (model.owner === undefined) model.wakeAtMs = 0;
});

const pass = (ms: number) =>
  command(`${ms} ms pass`, async model => {
    model.nowMs += ms;
  });

const owner = fc.constantFrom(...owners);
const commands = fc.commands<Model, Real, boolean>(
  [
    owner.map(claim),
    fc.tuple(fc.nat(20), fc.integer({ min: 0, max: 9 })).map(([pick, dice]) => append(pick, dice === 0)),
    fc.nat(20).map(pick => append(pick, false)),
    owner.map(renew),
    fc.tuple(fc.nat(20), fc.constantFrom(0, 500, 5000)).map(([pick, ms]) => release(pick, ms)),
    fc.constant(ask),
    fc.constantFrom(1, 400, 1001).map(pass),
  ],
  { maxCommands: 40 },
);

let runs = 0;

async function create(journal: Journal): Promise<Real> {
  const runId = `run_${String(runs++).padStart(6, '0')}`;
  const event = runEvent({ tenant: 't', definition: 'sha256:a', deadlineAtMs: 1_000_000 });
  await journal.createRun({
    id: runId,
    tenant: 't',
    principal: 'p',
    definition: 'sha256:a',
    namespace: 'n',
    name: 'w',
    version: '1.0.0',
    traceId: '0'.repeat(32),
    idempotencyKey: undefined,
    requestDigest: 'd',
    atMs: 0,
    event,
  });
  return { journal, runId };
}

/** In a journal for each case, or in one for all: looking for a run among those of all cases costs the one in memory more with each. */
async function holds(open: () => Journal, numRuns: number): Promise<void> {
  const property = fc.asyncProperty(commands, async given => {
    const journal = open();
    await journal.putDefinition({ hash: 'sha256:a', document: '{}' }, 1);
    const real = await create(journal);
    const model: Model = {
      nowMs: 1,
      epoch: 0,
      owner: undefined,
      wakeAtMs: 0,
      inbox: 0,
      texts: ['run-created'],
      hasEnded: false,
      claims: [],
    };
    await fc.asyncModelRun(() => ({ model, real }), given);
    const records = await journal.read(real.runId, 0, 100);
    const texts = records.map(({ event }) => (event.type === 'run-started' ? event.traceparent : event.type));
    expect(texts).toEqual(model.texts);
    await endRun(model, real);
  });
  await fc.assert(property, { seed, numRuns, endOnFailure: true });
}

/** So that the claims of the next case find nothing of this one. */
async function endRun(model: Model, real: Real): Promise<void> {
  model.nowMs += 10_000;
  if (model.hasEnded) return;
  await claim('a').run(model, real);
  await append(model.claims.length - 1, true).run(model, real);
}

test(`[AG-2] leases and epochs in memory are what the model says (seed ${seed})`, async () => {
  await holds(createMemoryJournal, sized({ ci: 1000, soak: 100_000 }));
}, 600_000);

test(`[AG-2] leases and epochs in SQLite are what the model says (seed ${seed})`, async () => {
  const journal = await openSqliteJournal(join(folder, 'journal.sqlite'));
  await holds(() => journal, sized({ ci: 60, soak: 2000 }));
  await journal.close();
}, 1_200_000);

test(`[AG-2] leases and epochs in PostgreSQL are what the model says (seed ${seed})`, async () => {
  const journal = await postgres.openJournal();
  await holds(() => journal, sized({ ci: 40, soak: 1500 }));
  await journal.close();
}, 1_200_000);

test('the model notices a journal that does not compare epochs', async () => {
  await expect(holds(() => createMemoryJournal({ isFenced: false }), 1000)).rejects.toThrow();
}, 600_000);
