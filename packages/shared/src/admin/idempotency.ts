import type { Kysely, Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { randomText } from '../ids.ts';
import { digestOf } from '../json/canonical-json.ts';
import type { Sealer } from '../sealer.ts';
import type { AdminSchema } from './admin-schema.ts';

/** What is answered, and answered again. */
export interface StoredAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A request that nobody answered before. */
export interface BegunRequest {
  /** Within the transaction of the change: it is certain from then on that the change is not made twice. */
  changed(transaction: Transaction<AdminSchema>): Promise<void>;
  answered(answer: StoredAnswer): Promise<void>;
  /** It was refused and changed nothing: the key may be used again. */
  abandoned(): Promise<void>;
}

export type Begun =
  | { readonly type: 'begun'; readonly request: BegunRequest }
  | { readonly type: 'answered'; readonly answer: StoredAnswer };

const keyPattern = /^[\x21-\x7e]{1,255}$/;
const keptMs = 86_400_000;
/** A request takes seconds; whoever began one longer ago than this died in it. */
const leftAfterMs = 120_000;
const trimAt = 100;

/**
 * A change that is sent twice under one `Idempotency-Key` is made once and answered twice alike, also by different processes at the same
 * moment, also when one of them dies.
 */
export function createIdempotency(deps: {
  readonly db: Kysely<AdminSchema>;
  readonly clock: Clock;
  readonly sealer: Sealer;
}) {
  const { db, clock, sealer } = deps;

  return {
    /**
     * @throws GatewayError invalid_request (`idempotency_key_invalid`), conflict (`idempotency_key_reused`, `idempotency_in_flight`,
     * `idempotency_answer_lost`).
     */
    async begin(request: { caller: string; key: string; digest: string }): Promise<Begun> {
      if (!keyPattern.test(request.key)) throw invalidKey();
      const id = digestOf(JSON.stringify([request.caller, request.key]));
      const row = {
        id,
        digest: request.digest,
        state: 'begun',
        token: randomText(20),
        at_ms: clock.now(),
        answer: null,
      };
      await trim();
      if (await insert(row)) return { type: 'begun', request: begun(row) };
      const found = await db.selectFrom('admin_requests').selectAll().where('id', '=', id).executeTakeFirst();
      if (found === undefined) throw inFlight(); // it ended at this very moment
      if (found.digest !== request.digest) throw reused();
      if (found.state === 'answered') return { type: 'answered', answer: readAnswer(found) };
      if (found.state === 'changed' && found.at_ms + leftAfterMs < clock.now()) throw answerLost();
      if (found.state === 'begun' && (await takeOver(row, found.token)))
        return { type: 'begun', request: begun(row) };
      throw inFlight();
    },
  };

  async function insert(row: AdminSchema['admin_requests']): Promise<boolean> {
    const result = await db
      .insertInto('admin_requests')
      .values(row)
      .onConflict(conflict => conflict.column('id').doNothing())
      .executeTakeFirst();
    return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
  }

  async function takeOver(row: AdminSchema['admin_requests'], from: string): Promise<boolean> {
    const result = await db
      .updateTable('admin_requests')
      .set({ token: row.token, at_ms: row.at_ms })
      .where('id', '=', row.id)
      .where('token', '=', from)
      .where('state', '=', 'begun')
      .where('at_ms', '<', row.at_ms - leftAfterMs)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  function begun({ id, token }: AdminSchema['admin_requests']): BegunRequest {
    return {
      async changed(transaction) {
        const result = await transaction
          .updateTable('admin_requests')
          .set({ state: 'changed' })
          .where('id', '=', id)
          .where('token', '=', token)
          .executeTakeFirst();
        if (result.numUpdatedRows === 0n) throw inFlight(); // somebody took over: this change must not be made
      },
      async answered(answer) {
        await db
          .updateTable('admin_requests')
          .set({ state: 'answered', answer: sealer.seal(purposeOf(id), JSON.stringify(answer)) })
          .where('id', '=', id)
          .where('token', '=', token)
          .execute();
      },
      async abandoned() {
        await db
          .deleteFrom('admin_requests')
          .where('id', '=', id)
          .where('token', '=', token)
          .where('state', '=', 'begun')
          .execute();
      },
    };
  }

  function readAnswer({ id, answer }: AdminSchema['admin_requests']): StoredAnswer {
    const text = sealer.open(purposeOf(id), answer ?? '');
    if (text === undefined) throw answerLost(); // sealed under another pepper
    return JSON.parse(text) as StoredAnswer; // sealed, so it is as it was stored
  }

  async function trim(): Promise<void> {
    const old = db
      .selectFrom('admin_requests')
      .select('id')
      .where('at_ms', '<', clock.now() - keptMs)
      .limit(trimAt);
    await db.deleteFrom('admin_requests').where('id', 'in', old).execute();
  }
}

export type Idempotency = ReturnType<typeof createIdempotency>;

function purposeOf(id: string): string {
  return `admin/answer/${id}`;
}

function invalidKey(): GatewayError {
  return new GatewayError('invalid_request', 'An `Idempotency-Key` has 1 to 255 visible ASCII characters.', {
    reason: 'idempotency_key_invalid',
    param: 'idempotency-key',
  });
}

function reused(): GatewayError {
  return new GatewayError('conflict', 'This `Idempotency-Key` was used for another request.', {
    reason: 'idempotency_key_reused',
    param: 'idempotency-key',
  });
}

function inFlight(): GatewayError {
  return new GatewayError('conflict', 'A request with this `Idempotency-Key` is being answered.', {
    reason: 'idempotency_in_flight',
    param: 'idempotency-key',
    retryAfterMs: 1000,
  });
}

function answerLost(): GatewayError {
  return new GatewayError(
    'conflict',
    'The change was made, and its answer was lost. Read what you wanted to change.',
    { reason: 'idempotency_answer_lost', param: 'idempotency-key' },
  );
}
