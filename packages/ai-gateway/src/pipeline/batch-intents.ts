import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { asyncFaultPoint } from '@strata/shared/fault-point.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { newId } from '@strata/shared/ids.ts';
import { spenderOf } from '@strata/shared/money/spender.ts';
import type { Subject } from '@strata/shared/money/subject.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { ownerOf } from '../domain/owner.ts';
import { type BatchModel, type ProviderObject, payerOf, unknownObject } from '../domain/provider-object.ts';
import { asObjects, asString } from '../protocols/read-json.ts';
import { accessPath, type BatchApi, gone, type SettlerDeps } from './batch-api.ts';

/** A batch that somebody wants to begin. */
export interface NewBatch {
  readonly api: BatchApi;
  readonly caller: Caller;
  readonly at: Pick<ProviderObject, 'provider' | 'credential'>;
  readonly models: readonly BatchModel[];
  /** Undefined: not known. */
  readonly worstCaseNanoUsd: bigint | undefined;
  /** By what the batch is known again among those of the provider. */
  readonly mark: JsonObject;
}

/** Whoever has not ended within this time has died. No request to a provider takes longer. */
const graceMs = 900_000;
const listSize = 100;

/**
 * Begins a batch: sets the most that it can cost aside, asks the provider, and keeps whose it is. What is about to happen is kept first, so that a
 * crash at any moment leaves neither money that nobody gives back nor a batch that nobody books: `endIntent` finds out what became of it.
 *
 * @throws GatewayError budget_exceeded, and what `ask` throws.
 */
export async function beginBatch(
  deps: SettlerDeps,
  batch: NewBatch,
  ask: () => Promise<JsonObject>,
): Promise<JsonObject> {
  const { store } = deps;
  const intent = intentOf(deps, batch);
  await store.save(intent);
  await asyncFaultPoint('batch.intended');
  let object: JsonObject;
  try {
    await holdFor(deps, batch, intent);
    await asyncFaultPoint('batch.held');
    object = await ask();
  } catch (error) {
    // Whether a provider that did not answer has begun it is not known yet.
    if (!isUncertain(GatewayError.from(error))) await abandon(deps, intent);
    throw error;
  }
  await asyncFaultPoint('batch.begun');
  await keepBegun(deps, intent, { api: batch.api, object });
  return object;
}

/** Ends an intent whose process has died. False when it is too young to tell. */
export async function endIntent(
  deps: SettlerDeps,
  intent: ProviderObject,
  { api, signal }: { api: BatchApi; signal: AbortSignal },
): Promise<boolean> {
  if (intent.createdAtMs > deps.clock.now() - graceMs) return false;
  const provider = deps.provider(intent.provider);
  if (provider === undefined) throw gone(intent.provider);
  const listed = await deps.api.json({
    ...{ provider, credential: intent.credential, method: 'GET', signal },
    path: `${accessPath(provider, api.protocol)}?limit=${listSize}`,
  });
  const mine = asObjects(listed.data).filter(object => api.isBegunBy(object, intent));
  for (const object of mine) {
    const id = asString(object.id) ?? '';
    const kept = await deps.store.find(intent.owner, api.kind, id);
    if (kept?.facts.intent === intent.id) {
      await deps.store.remove(intent.owner, 'intent', intent.id);
      return true;
    }
    const isOthers = (await deps.store.foreign(intent.owner, api.kind, [id])).length > 0;
    if (kept !== undefined || isOthers) continue;
    deps.log.warn({ batch: id }, 'a batch was found whose process had died when it was begun');
    await keepBegun(deps, intent, { api, object });
    return true;
  }
  await abandon(deps, intent);
  return true;
}

function intentOf({ clock }: SettlerDeps, batch: NewBatch): ProviderObject {
  const { api, caller, at, models, worstCaseNanoUsd, mark } = batch;
  const now = clock.now();
  return {
    ...at,
    owner: ownerOf(caller),
    kind: 'intent',
    id: newId('intent', now),
    createdAtMs: now,
    isSettled: false,
    object: mark,
    facts: {
      models,
      payer: payerOf(caller),
      begins: api.kind,
      ...(worstCaseNanoUsd !== undefined && {
        worstCaseNanoUsd: String(worstCaseNanoUsd),
        hold: newId('batch', now),
      }),
    },
  };
}

async function holdFor(
  { budgets }: SettlerDeps,
  { caller, models, at, worstCaseNanoUsd }: NewBatch,
  { facts: { hold } }: ProviderObject,
): Promise<void> {
  const about: Subject[] = [
    ...models.map(each => ({ kind: 'model', id: each.alias }) as const),
    { kind: 'upstream', id: at.provider },
  ];
  const starter = spenderOf(caller, about);
  if (worstCaseNanoUsd === undefined || hold === undefined) {
    // Refused where a hard budget bears it, because nobody knows what to set aside.
    (await budgets.reserve(starter, () => undefined))?.settle(0n);
    return;
  }
  await budgets.openRun({ id: hold, runId: hold, limitNanoUsd: worstCaseNanoUsd, starter });
}

/** The batch takes the place of the intent. */
async function keepBegun(
  { store }: SettlerDeps,
  intent: ProviderObject,
  { api, object }: { api: BatchApi; object: JsonObject },
): Promise<void> {
  const id = asString(object.id);
  if (id === undefined) throw unknownObject(api.kind, '');
  const { begins: _begins, ...facts } = intent.facts;
  await store.save({ ...intent, kind: api.kind, id, object, facts: { ...facts, intent: intent.id } });
  await asyncFaultPoint('batch.kept');
  await store.remove(intent.owner, 'intent', intent.id);
}

async function abandon({ budgets, store }: SettlerDeps, { owner, id, facts }: ProviderObject): Promise<void> {
  if (facts.hold !== undefined) await budgets.closeRun(facts.hold);
  await store.remove(owner, 'intent', id);
}

function isUncertain({ kind }: GatewayError): boolean {
  return kind === 'timeout' || kind === 'upstream_failed' || kind === 'cancelled' || kind === 'overloaded';
}
