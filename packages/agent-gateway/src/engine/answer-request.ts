import * as z from 'zod';
import type { RunRequest } from '../domain/append.ts';
import { reservedSignals } from '../domain/approval.ts';
import { eventKey } from '../domain/fold-mail.ts';
import { messageProblem } from '../domain/limits.ts';
import type { RunError } from '../domain/run-error.ts';
import type { ChildOutcome, ReceivedEvent, RunEvent } from '../domain/run-events.ts';
import { type RunState, terminalStatuses } from '../domain/run-state.ts';

const cancelSchema = z.object({ detail: z.string().optional() });

const resolveSchema = z.object({
  call: z.string().optional(),
  task: z.string().optional(),
  resolution: z.discriminatedUnion('action', [
    z.object({ action: z.literal('retry') }),
    z.object({ action: z.literal('complete'), result: z.unknown() }),
    z.object({ action: z.literal('fail'), detail: z.string() }),
  ]),
});

const signalSource = 'signal';

const signalSchema = z.object({ id: z.string(), name: z.string(), data: z.unknown() });

const eventSchema = z.object({
  event: z.looseObject({ id: z.string(), source: z.string(), type: z.string() }),
});

/** Written by `RunWriter` when the other run ended. */
const childSchema = z.object({ runId: z.string(), outcome: z.custom<ChildOutcome>() });

/** Written by `RunWriter` when the other run was paused for want of money. */
const heldSchema = z.object({ runId: z.string(), error: z.custom<RunError>() });

const resumeSchema = z.object({
  limits: z.record(z.string(), z.number()).optional(),
  costNanoUsd: z
    .string()
    .regex(/^\d{1,18}$/)
    .optional(),
  deadlineAtMs: z.number().optional(),
});

const rewindSchema = z.object({
  position: z.number(),
  verb: z.enum(['retry', 'rewind']),
  to: z.number(),
  reopened: z.array(z.object({ path: z.string(), visit: z.number() })),
  deadlineAtMs: z.number(),
});

/** What a request from outside writes into the journal; nothing when it came too late to matter. */
export function answerRequest(request: RunRequest, state: RunState): RunEvent[] {
  const { by, payload } = request;
  if (request.kind === 'rewind') return rewind(request, state);
  if (terminalStatuses.has(state.status)) return [];
  switch (request.kind) {
    case 'cancel': {
      if (state.isCancelRequested) return [];
      const { detail } = cancelSchema.parse(payload);
      return [{ type: 'cancel-requested', by, ...(detail !== undefined && { detail }) }];
    }
    case 'terminate': {
      const { detail } = cancelSchema.parse(payload);
      return [{ type: 'run-terminated', by, ...(detail !== undefined && { detail }) }];
    }
    case 'pause':
      return state.pause === undefined && !state.isCancelRequested ? [{ type: 'run-paused', by }] : [];
    case 'resume': {
      if (state.pause === undefined) return [];
      const { limits, costNanoUsd, deadlineAtMs } = resumeSchema.parse(payload);
      const granted = { ...limits, ...(costNanoUsd !== undefined && { maxCostNanoUsd: costNanoUsd }) };
      return [
        {
          type: 'run-resumed',
          by,
          limits: { ...state.limits, ...granted },
          ...(Object.keys(granted).length > 0 && { granted }),
          ...(deadlineAtMs !== undefined && { deadlineAtMs }),
        },
      ];
    }
    case 'signal': {
      const { id, name, data } = signalSchema.parse(payload);
      // A signal is an event that is addressed to this run alone: whatever listens to events hears it.
      const value = { specversion: '1.0', id, source: signalSource, type: name, data: data ?? null };
      return receive({ id, type: name, source: signalSource, via: 'signal', value, by }, state);
    }
    case 'event': {
      const { event } = eventSchema.parse(payload);
      const { id, type, source } = event;
      return receive({ id, type, source, via: 'event', value: event, by }, state);
    }
    case 'child-ended': {
      const { runId, outcome } = childSchema.parse(payload);
      return state.children.has(runId) ? [{ type: 'child-ended', runId, outcome }] : [];
    }
    case 'child-held': {
      const { runId, error } = heldSchema.parse(payload);
      return state.children.has(runId) ? [{ type: 'child-held', runId, error }] : [];
    }
    case 'resolve':
      return resolveCalls(request, state);
    case 'export':
      return hasCallsUnderWay(state) ? [] : [{ type: 'run-exported', by }];
    case 'migrate':
      return []; // `answerMigration`, which looks at all that is recorded
  }
}

function hasCallsUnderWay({ tasks }: RunState): boolean {
  return [...tasks.values()].some(({ calls }) =>
    [...calls.values()].some(({ status }) => status === 'started' || status === 'in-doubt'),
  );
}

/** It was planned for one end of the run: another one may have come of a request before it. */
function rewind({ by, payload }: RunRequest, state: RunState): RunEvent[] {
  const { position, ...plan } = rewindSchema.parse(payload);
  if (state.status === 'moved' || !terminalStatuses.has(state.status) || position !== state.position)
    return [];
  return [{ type: 'run-rewound', by, ...plan }];
}

/** What is sent twice is received once (F77). A run that has been sent all that it may is paused, and takes no more. */
function receive(event: Omit<ReceivedEvent, 'receipt' | 'match'>, state: RunState): RunEvent[] {
  if (state.received.has(eventKey(event))) return [];
  const isOwn = event.via === 'signal' && event.type.startsWith(reservedSignals);
  const error = isOwn ? undefined : messageProblem(state);
  if (error === undefined) return [{ type: 'event-received', event }];
  return state.pause === undefined ? [{ type: 'run-paused', by: 'engine', error }] : [];
}

function resolveCalls({ payload, by }: RunRequest, state: RunState): RunEvent[] {
  const { call, task, resolution } = resolveSchema.parse(payload);
  const given =
    resolution.action === 'complete' ? { ...resolution, result: resolution.result ?? null } : resolution;
  return [...state.tasks.values()]
    .filter(each => task === undefined || each.path === task)
    .flatMap(({ path, visit, calls }) =>
      [...calls]
        .filter(([id, { status }]) => status === 'parked' && (call === undefined || id === call))
        .map(([id]) => ({ type: 'call-resolved' as const, path, visit, call: id, resolution: given, by })),
    );
}
