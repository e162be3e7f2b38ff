import type { ConversationTransaction } from '@strata/shared/conversations/conversation-schema.ts';
import { asyncFaultPoint } from '@strata/shared/fault-point.ts';
import type { BackgroundRun, BackgroundStore, NumberedFrames } from '../domain/background-run.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { appendTurn } from './conversation-rows.ts';
import { type ConversationStoreDeps, insertResponse } from './response-store.ts';

/** Rows of events that one look reads at most. */
const rowsAtOnce = 20;

/** Runs in the shared store. Each transition begins with the row of the run, so they exclude one another. */
export function createBackgroundStore(
  deps: ConversationStoreDeps & {
    /** Of the events. Read once a run and write. */
    eventTtlMs(): number;
  },
): BackgroundStore {
  const { sql, clock } = deps;
  const { db } = sql;

  const addEvents = async (
    transaction: ConversationTransaction,
    { owner, id }: BackgroundRun,
    { first, frames }: NumberedFrames,
  ) => {
    const { tenant, principal } = owner;
    const row = {
      first_sequence: first,
      frames: frames.join(''),
      expires_at_ms: clock.now() + deps.eventTtlMs(),
    };
    await transaction
      .insertInto('background_events')
      .values({ tenant, principal, id, ...row })
      .execute();
  };

  return {
    begin(owner, stored, { holder, leaseUntilMs, maxRuns, events }) {
      const { tenant, principal } = owner;
      const run = { owner, id: stored.id };
      return db.transaction().execute(async transaction => {
        const { count } = await transaction
          .selectFrom('background_runs')
          .select(select => select.fn.countAll<number>().as('count'))
          .where('tenant', '=', tenant)
          .where('principal', '=', principal)
          .executeTakeFirstOrThrow();
        if (count >= maxRuns) return false;
        const next = events === undefined ? 0 : events.first + events.frames.length;
        await transaction
          .insertInto('background_runs')
          .values({
            ...{ tenant, principal, id: stored.id, holder },
            ...{ lease_until_ms: leaseUntilMs, next_sequence: next },
          })
          .execute();
        await insertResponse(transaction, owner, stored, { nowMs: clock.now(), ttlMs: deps.ttlMs() });
        if (events !== undefined) await addEvents(transaction, run, events);
        return true;
      });
    },
    advance(run, holder, { leaseUntilMs, response, events }) {
      const sequence = events && { next_sequence: events.first + events.frames.length };
      return db.transaction().execute(async transaction => {
        const held = await transaction
          .updateTable('background_runs')
          .set({ lease_until_ms: leaseUntilMs, ...sequence })
          .where(row => row.and(keyOf(run)))
          .where('holder', '=', holder)
          .returning('id')
          .executeTakeFirst();
        if (held === undefined) return false;
        if (events !== undefined) await addEvents(transaction, run, events);
        if (response !== undefined) await saveResponse(transaction, run, response);
        return true;
      });
    },
    finish(run, holder, { response, events, turn }) {
      return db.transaction().execute(async transaction => {
        const ended = await transaction
          .deleteFrom('background_runs')
          .where(row => row.and(keyOf(run)))
          .where('holder', '=', holder)
          .returning('id')
          .executeTakeFirst();
        if (ended === undefined) return false;
        if (events !== undefined) await addEvents(transaction, run, events);
        await saveResponse(transaction, run, response);
        if (turn !== undefined) {
          await appendTurn(transaction, run.owner, turn, { nowMs: clock.now(), ttlMs: deps.ttlMs() });
        }
        await asyncFaultPoint('background.finish.before-commit');
        return true;
      });
    },
    endForeign(run, { end, event }, { onlyIfDead }) {
      return db.transaction().execute(async transaction => {
        let removal = transaction.deleteFrom('background_runs').where(row => row.and(keyOf(run)));
        if (onlyIfDead) removal = removal.where('lease_until_ms', '<=', clock.now());
        const ended = await removal.returning('next_sequence').executeTakeFirst();
        const before = await readResponse(transaction, run, clock.now());
        if (ended === undefined || before === undefined) return before;
        const response = end(before);
        const first = ended.next_sequence;
        if (first > 0) await addEvents(transaction, run, { first, frames: [event(response, first)] });
        await saveResponse(transaction, run, response);
        return response;
      });
    },
    async isRunning(run) {
      const row = await db
        .selectFrom('background_runs')
        .select('id')
        .where(row => row.and(keyOf(run)))
        .executeTakeFirst();
      return row !== undefined;
    },
    async abandoned(limit) {
      const rows = await db
        .selectFrom('background_runs')
        .select(['tenant', 'principal', 'id'])
        .where('lease_until_ms', '<=', clock.now())
        .limit(limit)
        .execute();
      return rows.map(({ tenant, principal, id }) => ({ owner: { tenant, principal }, id }));
    },
    async events(run, after) {
      const ofRun = db
        .selectFrom('background_events')
        .select(['first_sequence', 'frames'])
        .where(row => row.and(keyOf(run)));
      const holding = await ofRun
        .where('first_sequence', '<=', after + 1)
        .orderBy('first_sequence', 'desc')
        .limit(1)
        .execute();
      const rows = await ofRun
        .where('first_sequence', '>', after + 1)
        .orderBy('first_sequence')
        .limit(rowsAtOnce)
        .execute();
      const [first] = [...holding, ...rows];
      if (first === undefined) return undefined;
      const frames = [...holding, ...rows].flatMap(row => splitFrames(row.frames));
      const skipped = Math.min(frames.length, Math.max(0, after + 1 - first.first_sequence));
      return { first: first.first_sequence + skipped, frames: frames.slice(skipped) };
    },
    async sweep() {
      await db.deleteFrom('background_events').where('expires_at_ms', '<=', clock.now()).execute();
    },
  };
}

/** What names the rows of a run, in every table. */
const keyOf = ({ owner: { tenant, principal }, id }: BackgroundRun) => ({ tenant, principal, id });

const frameEnd = '\n\n';

function splitFrames(text: string): string[] {
  return text
    .split(frameEnd)
    .slice(0, -1)
    .map(frame => frame + frameEnd);
}

async function readResponse(
  transaction: ConversationTransaction,
  run: BackgroundRun,
  nowMs: number,
): Promise<JsonObject | undefined> {
  const row = await transaction
    .selectFrom('stored_responses')
    .select('response')
    .where(row => row.and(keyOf(run)))
    .where('expires_at_ms', '>', nowMs)
    .executeTakeFirst();
  return row && (JSON.parse(row.response) as JsonObject); // as it was saved
}

async function saveResponse(
  transaction: ConversationTransaction,
  run: BackgroundRun,
  response: JsonObject,
): Promise<void> {
  await transaction
    .updateTable('stored_responses')
    .set({ response: JSON.stringify(response) })
    .where(row => row.and(keyOf(run)))
    .execute();
}
