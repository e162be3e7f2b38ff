import { requireRole } from '@strata/shared/admin/route-access.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { newId } from '@strata/shared/ids.ts';
import { parseUsd, usdText } from '@strata/shared/money/nano-usd.ts';
import type { FastifyRequest } from 'fastify';
import * as z from 'zod';
import { reservedSignals } from '../domain/approval.ts';
import { moneyRoles } from '../domain/authority.ts';
import { parkedCalls, parkedEffect } from '../domain/given-results.ts';
import type { RunSummary } from '../domain/journal.ts';
import { replay } from '../domain/replay.ts';
import type { RunLimits } from '../domain/run-terms.ts';
import { readRecords } from '../pipeline/read-records.ts';
import type { ApiDeps } from './api-deps.ts';
import type { Asked } from './asked.ts';
import { namedLimits, raiseFields } from './limit-fields.ts';
import { checkFields, readFields } from './read-body.ts';
import { askRewind } from './rewind-run.ts';

export const reasonBody = z.strictObject({ reason: z.string().max(500).optional() });

const retryBody = z.strictObject({});
export const rewindBody = z.strictObject({ task: z.string().max(1000), visit: z.int().min(1).optional() });

const call = z.string().optional();
const task = z.string().optional();
export const resolveBody = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('retry'), call, task }),
  z.strictObject({ action: z.literal('complete'), call, task, result: z.unknown() }),
  z.strictObject({
    action: z.literal('fail'),
    call,
    task,
    detail: z.string().max(1000).default('An operator gave the call up.'),
  }),
]);

export const resumeBody = z.strictObject({ limits: raiseFields.default({}) });

/** `POST /v1/runs/{id}:{verb}`. */
export const runVerbs: Readonly<
  Record<string, (request: FastifyRequest, run: RunSummary, deps: ApiDeps) => Asked | Promise<Asked>>
> = {
  cancel: (request, run) => ({ kind: 'cancel', payload: reasonOf(request, run) }),
  terminate: (request, run) => ({ kind: 'terminate', payload: reasonOf(request, run) }),
  pause: (request, run) => ({ kind: 'pause', payload: reasonOf(request, run) }),
  /** A run that met a limit goes on when it is granted a higher one; time is granted from now on. */
  async resume(request, run, { clock, journal }) {
    const { limits: given } = readFields(request, resumeBody);
    const { cost_usd, ...limits } = given;
    const { limits: own } = replay(await readRecords(run.id, journal));
    const deadlineAtMs = clock.now() + (limits.run_ms ?? own.maxRunMs);
    const costNanoUsd = cost_usd === undefined ? undefined : topUp(request, cost_usd, own);
    return { kind: 'resume', payload: { limits: namedLimits(limits), costNanoUsd, deadlineAtMs } };
  },
  async resolve(request, run, deps) {
    const { call: named, task: path, ...given } = readFields(request, resolveBody);
    const resolution =
      given.action === 'complete'
        ? { ...given, result: await readGiven({ ...given, named, path }, run, deps) }
        : given;
    return { kind: 'resolve', payload: { call: named, task: path, resolution }, call: named };
  },
  /** A failed run goes on from its failed tasks; what they and others have of their own is kept. */
  retry(request, run, deps) {
    readFields(request, retryBody);
    return askRewind(run, { verb: 'retry' }, deps);
  },
  /** In place, to before a task: it and all that came after it is done again. */
  rewind(request, run, deps) {
    const { task: path, visit } = readFields(request, rewindBody);
    return askRewind(run, { verb: 'rewind', task: path, visit }, deps);
  },
};

/** @throws GatewayError invalid_request (`request_invalid`) when it is nothing that the call could have given. */
async function readGiven(
  { result, named, path }: { result?: unknown; named: string | undefined; path: string | undefined },
  run: RunSummary,
  { journal, givenResults }: ApiDeps,
): Promise<unknown> {
  const records = await readRecords(run.id, journal);
  const effect = parkedEffect(parkedCalls(replay(records), records), { call: named, path });
  const schema = effect === undefined ? undefined : givenResults[effect];
  if (schema === undefined) return result ?? null;
  return checkFields({ result }, z.object({ result: schema })).result;
}

function topUp(
  request: FastifyRequest,
  text: string,
  { maxCostNanoUsd: before }: Pick<RunLimits, 'maxCostNanoUsd'>,
): string {
  requireRole({ roles: moneyRoles }, request.caller);
  const limitNanoUsd = parseUsd(text) ?? 0n;
  if (before !== undefined && limitNanoUsd > BigInt(before)) return limitNanoUsd.toString();
  const problem =
    before === undefined
      ? 'The run has no budget of its own: raise the budget that refused it.'
      : `The run may spend ${usdText(BigInt(before))} USD already: more is needed.`;
  throw new GatewayError('invalid_request', problem, {
    reason: 'run_limit_not_raised',
    param: 'limits.cost_usd',
  });
}

function reasonOf(request: FastifyRequest, _run: RunSummary): { detail: string | undefined } {
  return { detail: readFields(request, reasonBody).reason };
}

export const signalBody = z.strictObject({
  id: z.string().min(1).max(255).optional(),
  data: z.unknown().optional(),
});

/** `POST /v1/runs/{id}/signals/{name}`. An `id` makes a second delivery of the same signal no second signal. */
export function readSignal(
  request: FastifyRequest,
  name: string,
  { clock }: ApiDeps,
): Asked & { id: string } {
  if (name.startsWith(reservedSignals)) {
    throw new GatewayError(
      'invalid_request',
      `Signals whose name begins with '${reservedSignals}' are the gateway's own.`,
      {
        reason: 'signal_name_reserved',
        param: 'name',
      },
    );
  }
  const { id = newId('signal', clock.now()), data } = readFields(request, signalBody);
  return { kind: 'signal', payload: { id, name, data: data ?? null }, id };
}
