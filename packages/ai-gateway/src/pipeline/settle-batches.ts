import type { Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DialResponse } from '@strata/shared/http/dialer.ts';
import type { Subject } from '@strata/shared/money/subject.ts';
import { BatchTotals, LineReader, type ModelTotal } from '../domain/batch-results.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { ModelProvider } from '../domain/provider.ts';
import type { BatchModel, BatchPayer, ProviderObject } from '../domain/provider-object.ts';
import { parseObject } from '../protocols/read-json.ts';
import { accessPath, type BatchApi, gone, type SettlerDeps } from './batch-api.ts';
import { beginBatch, endIntent, type NewBatch } from './batch-intents.ts';

/** Sets the worst case of a batch aside when it is begun, and books what it cost when it has ended: once, whoever asks and however often. */
export interface BatchSettler {
  /** @throws GatewayError budget_exceeded, and what `ask` throws. */
  begin(batch: NewBatch, ask: () => Promise<JsonObject>): Promise<JsonObject>;
  /** Resolves when the batch is booked. Does nothing for one that has not ended or is booked already. */
  settle(api: BatchApi, batch: ProviderObject): Promise<void>;
  close(): void;
}

/** For batches whose owner never comes back. */
const sweepEveryMs = 60_000;
const sweepSize = 20;

export function createBatchSettler(deps: SettlerDeps): BatchSettler {
  const { clock, log } = deps;
  const underWay = new Map<string, Promise<void>>();
  const closing = new AbortController();
  let timer: Scheduled = clock.schedule(sweepEveryMs, beat);

  function beat(): void {
    sweep(deps, settle, closing.signal)
      .catch((error: unknown) => log.warn({ err: error }, 'batches could not be looked after'))
      .finally(() => {
        if (!closing.signal.aborted) timer = clock.schedule(sweepEveryMs, beat);
      });
  }

  function settle(api: BatchApi, batch: ProviderObject): Promise<void> {
    if (batch.isSettled || !api.hasEnded(batch.object)) return Promise.resolve();
    const key = entryId(batch, '');
    const running = underWay.get(key);
    if (running !== undefined) return running;
    const work = book(deps, { api, batch, signal: closing.signal }).finally(() => underWay.delete(key));
    underWay.set(key, work);
    return work;
  }

  return {
    settle,
    begin: (batch, ask) => beginBatch(deps, batch, ask),
    close() {
      closing.abort(new GatewayError('overloaded', 'The gateway is shutting down.', { reason: 'draining' }));
      timer.cancel();
    },
  };
}

async function sweep(deps: SettlerDeps, settle: BatchSettler['settle'], signal: AbortSignal): Promise<void> {
  const due = await deps.store.unsettled(deps.clock.now() - sweepEveryMs, sweepSize);
  for (const found of due) {
    try {
      if (found.kind === 'intent') await lookAtIntent(deps, found, signal);
      else await lookAtBatch(deps, found, { settle, signal });
    } catch (error) {
      if (signal.aborted) return;
      deps.log.warn({ err: error, batch: found.id }, 'a batch could not be looked after');
      await deps.store.save(found); // the others first
    }
  }
}

async function lookAtIntent(deps: SettlerDeps, intent: ProviderObject, signal: AbortSignal): Promise<void> {
  const api = deps.apis.find(each => each.kind === intent.facts.begins);
  const hasEnded = api !== undefined && (await endIntent(deps, intent, { api, signal }));
  if (!hasEnded) await deps.store.save(intent);
}

async function lookAtBatch(
  deps: SettlerDeps,
  batch: ProviderObject,
  { settle, signal }: { settle: BatchSettler['settle']; signal: AbortSignal },
): Promise<void> {
  const api = deps.apis.find(each => each.kind === batch.kind);
  const provider = requireProvider(deps, batch.provider);
  if (api === undefined) return deps.store.save(batch);
  const path = `${accessPath(provider, api.protocol)}/${batch.id}`;
  const asked = { provider, credential: batch.credential, method: 'GET', path, signal } as const;
  const seen = { ...batch, object: await deps.api.json(asked) };
  await deps.store.save(seen);
  await settle(api, seen);
}

interface Booking {
  readonly api: BatchApi;
  readonly batch: ProviderObject;
  readonly signal: AbortSignal;
}

/** The entries have fixed ids, so that booking twice, after a crash or by two replicas, books once. */
async function book(deps: SettlerDeps, booking: Booking): Promise<void> {
  const { batch } = booking;
  const { models = [], hold, payer } = batch.facts;
  const totals = await readTotals(deps, booking);
  for (const [model, total] of totals.all) {
    const alias = models.find(each => each.model === model)?.alias ?? model;
    await record(deps, { batch, payer: payer ?? payerOf(batch), alias, model, total, hold });
  }
  await deps.ledger.flush();
  if (hold !== undefined) await deps.budgets.closeRun(hold);
  await deps.store.save({ ...batch, isSettled: true });
}

async function readTotals(deps: SettlerDeps, { api, batch, signal }: Booking): Promise<BatchTotals> {
  const { models = [] } = batch.facts;
  const provider = requireProvider(deps, batch.provider);
  const totals = new BatchTotals(name => {
    const known = models.find(each => each.model === name);
    return known && deps.pricesOf(provider, known);
  });
  const path = api.resultsPath(batch, provider);
  if (path === undefined) return totals;
  const response = await deps.api.open({
    provider,
    credential: batch.credential,
    method: 'GET',
    path,
    signal,
  });
  for await (const line of linesOf(response)) {
    const result = api.readResult(parseObject(line) ?? {});
    if (result !== undefined) totals.add(modelOf(result.model, models), result.usage);
  }
  return totals;
}

async function* linesOf({ body }: DialResponse): AsyncGenerator<Buffer> {
  const reader = new LineReader();
  for await (const chunk of body) yield* reader.push(chunk as Buffer); // the dialer's bodies are bytes
  yield* reader.end();
}

/** Answers name the dated model where the request named the undated one. */
function modelOf(answered: string | undefined, models: readonly BatchModel[]): string {
  const exact = models.find(each => each.model === answered) ?? (models.length === 1 ? models[0] : undefined);
  const near = models
    .filter(each => answered?.startsWith(each.model))
    .sort((left, right) => right.model.length - left.model.length)[0];
  return exact?.model ?? near?.model ?? answered ?? 'unknown';
}

async function record(
  { budgets, ledger, clock, log, provider, pricesOf }: SettlerDeps,
  booked: {
    readonly batch: ProviderObject;
    readonly payer: BatchPayer;
    readonly alias: string;
    readonly model: string;
    readonly total: ModelTotal;
    readonly hold: string | undefined;
  },
): Promise<void> {
  const { batch, payer, alias, model, total, hold } = booked;
  const spender = {
    tenant: payer.tenant,
    subjects: subjectsOf(payer, alias, batch.provider),
    ...(hold !== undefined && { runBudgetId: hold }),
  };
  // Metered without a price: it is not free, so what was set aside is what it costs.
  const cost = total.costNanoUsd ?? BigInt(batch.facts.worstCaseNanoUsd ?? 0);
  const reservation = await budgets
    .reserve(spender, () => cost)
    ?.catch((error: unknown) => {
      log.error(
        { err: error, batch: batch.id, nanoUsd: String(cost) },
        'a batch cost more than was set aside',
      );
      return undefined;
    });
  const at = provider(batch.provider);
  ledger.record({
    ...payer,
    id: entryId(batch, model),
    atMs: clock.now(),
    durationMs: clock.now() - batch.createdAtMs,
    gateway: 'ai-gateway',
    keyId: payer.keyId,
    runId: payer.runId,
    taskId: payer.taskId,
    alias,
    provider: batch.provider,
    model,
    serviceTier: 'batch',
    outcome: 'answered',
    usage: total.usage,
    usageSource: 'reported',
    costNanoUsd: total.costNanoUsd,
    priceVersion: at && pricesOf(at, { alias, model })?.version,
    charges: reservation?.settle(cost) ?? [],
  });
}

function subjectsOf(payer: BatchPayer, alias: string, provider: string): Subject[] {
  return [
    { kind: 'organisation', id: payer.tenant },
    { kind: 'team', id: payer.team },
    { kind: 'project', id: payer.project },
    { kind: 'principal', id: payer.principal },
    ...(payer.keyId === undefined ? [] : [{ kind: 'key', id: payer.keyId } as const]),
    ...payer.tags.map(id => ({ kind: 'tag', id }) as const),
    { kind: 'model', id: alias },
    { kind: 'upstream', id: provider },
  ];
}

/** A row without its payer cannot come from here; its owner is still known. */
function payerOf({ owner }: ProviderObject): BatchPayer {
  return { ...owner, team: '', project: '', tags: [] };
}

function entryId(batch: ProviderObject, model: string): string {
  return `batch:${batch.provider}:${batch.id}:${model}`;
}

function requireProvider(deps: SettlerDeps, name: string): ModelProvider {
  const provider = deps.provider(name);
  if (provider === undefined) throw gone(name);
  return provider;
}
