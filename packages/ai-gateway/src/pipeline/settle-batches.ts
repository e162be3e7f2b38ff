import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DialResponse } from '@strata/shared/http/dialer.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { newId } from '@strata/shared/ids.ts';
import type { Budgets } from '@strata/shared/money/budgets.ts';
import type { PriceList } from '@strata/shared/money/price.ts';
import { spenderOf } from '@strata/shared/money/spender.ts';
import type { Subject } from '@strata/shared/money/subject.ts';
import type { UsageLedger } from '@strata/shared/money/usage-ledger.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { type BatchResult, BatchTotals, LineReader, type ModelTotal } from '../domain/batch-results.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { ModelProvider } from '../domain/provider.ts';
import type {
  BatchModel,
  BatchPayer,
  ObjectKind,
  ProviderObject,
  ProviderObjectStore,
} from '../domain/provider-object.ts';
import { parseObject } from '../protocols/read-json.ts';
import type { ProviderApi } from './provider-api.ts';

/** What is different about the batches of one API. */
export interface BatchApi {
  readonly kind: Exclude<ObjectKind, 'file'>;
  /** The protocol name under which providers list it. */
  readonly protocol: string;
  hasEnded(object: JsonObject): boolean;
  /** Below the access path of the API, or of its files; undefined when there are no results. */
  resultsPath(batch: ProviderObject, provider: ModelProvider): string | undefined;
  readResult(line: JsonObject): BatchResult | undefined;
}

/** Sets the worst case of a batch aside when it is begun, and books what it cost when it has ended: once, whoever asks and however often. */
export interface BatchSettler {
  /** @throws GatewayError budget_exceeded. Undefined: nothing had to be set aside. */
  hold(
    caller: Caller,
    about: readonly Subject[],
    worstCaseNanoUsd: bigint | undefined,
  ): Promise<string | undefined>;
  /** Gives all of it back: the batch was not begun. */
  release(hold: string | undefined): Promise<void>;
  /** Resolves when the batch is booked. Does nothing for one that has not ended or is booked already. */
  settle(api: BatchApi, batch: ProviderObject): Promise<void>;
  close(): void;
}

export interface SettlerDeps {
  readonly api: ProviderApi;
  readonly store: ProviderObjectStore;
  readonly budgets: Budgets;
  readonly ledger: UsageLedger;
  readonly clock: Clock;
  readonly log: Logger;
  readonly apis: readonly BatchApi[];
  provider(name: string): ModelProvider | undefined;
  pricesOf(provider: ModelProvider, model: BatchModel): PriceList | undefined;
}

/** For batches whose owner never comes back. */
const sweepEveryMs = 60_000;
const sweepSize = 20;

export function createBatchSettler(deps: SettlerDeps): BatchSettler {
  const { budgets, clock, log } = deps;
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
    async hold(caller, about, worstCaseNanoUsd) {
      const starter = spenderOf(caller, about);
      if (worstCaseNanoUsd === undefined) {
        // Refused where a hard budget bears it, because nobody knows what to set aside.
        (await budgets.reserve(starter, () => undefined))?.settle(0n);
        return undefined;
      }
      const id = newId('batch', clock.now());
      await budgets.openRun({ id, runId: id, limitNanoUsd: worstCaseNanoUsd, starter });
      return id;
    },
    async release(hold) {
      if (hold !== undefined) await budgets.closeRun(hold);
    },
    close() {
      closing.abort(new GatewayError('overloaded', 'The gateway is shutting down.', { reason: 'draining' }));
      timer.cancel();
    },
  };
}

async function sweep(deps: SettlerDeps, settle: BatchSettler['settle'], signal: AbortSignal): Promise<void> {
  const due = await deps.store.unsettled(deps.clock.now() - sweepEveryMs, sweepSize);
  for (const batch of due) {
    const api = deps.apis.find(each => each.kind === batch.kind);
    const provider = deps.provider(batch.provider);
    if (api === undefined || provider === undefined) continue;
    try {
      const path = `${accessPath(provider, api.protocol)}/${batch.id}`;
      const object = await deps.api.json({
        provider,
        credential: batch.credential,
        method: 'GET',
        path,
        signal,
      });
      const seen = { ...batch, object };
      await deps.store.save(seen);
      await settle(api, seen);
    } catch (error) {
      if (signal.aborted) return;
      deps.log.warn({ err: error, batch: batch.id }, 'a batch could not be looked after');
      await deps.store.save(batch); // the others first
    }
  }
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
    .catch((error: unknown) => {
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

/** Where a provider has an API of such a name. @throws GatewayError when the configuration has it no more. */
export function accessPath(provider: ModelProvider, protocol: string): string {
  const path = provider.speaks.get(protocol)?.path({ model: '', isStream: false });
  if (path !== undefined) return path;
  throw gone(provider.name);
}

function requireProvider(deps: SettlerDeps, name: string): ModelProvider {
  const provider = deps.provider(name);
  if (provider === undefined) throw gone(name);
  return provider;
}

export function gone(provider: string): GatewayError {
  return new GatewayError('upstream_failed', `The account at '${provider}' is not configured any more.`, {
    reason: 'upstream_credential_unavailable',
  });
}
