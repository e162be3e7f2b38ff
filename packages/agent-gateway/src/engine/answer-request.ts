import * as z from 'zod';
import type { RunRequest } from '../domain/journal.ts';
import type { RunEvent } from '../domain/run-events.ts';
import type { RunState } from '../domain/run-state.ts';

const cancelSchema = z.object({ detail: z.string().optional() });

const resolveSchema = z.object({
  call: z.string().optional(),
  resolution: z.discriminatedUnion('action', [
    z.object({ action: z.literal('retry') }),
    z.object({ action: z.literal('complete'), result: z.unknown() }),
    z.object({ action: z.literal('fail'), detail: z.string() }),
  ]),
});

/** What a request from outside writes into the journal; nothing when it came too late to matter. */
export function answerRequest(request: RunRequest, state: RunState): RunEvent[] {
  switch (request.kind) {
    case 'cancel': {
      if (state.isCancelRequested) return [];
      const { detail } = cancelSchema.parse(request.payload);
      return [{ type: 'cancel-requested', by: request.by, ...(detail !== undefined && { detail }) }];
    }
    case 'resolve': {
      const { call, resolution } = resolveSchema.parse(request.payload);
      const { task } = state;
      if (task === undefined) return [];
      return parkedCalls(state)
        .filter(each => call === undefined || each === call)
        .map(each => ({
          type: 'call-resolved',
          path: task.path,
          visit: task.visit,
          call: each,
          resolution:
            resolution.action === 'complete'
              ? { ...resolution, result: resolution.result ?? null }
              : resolution,
          by: request.by,
        }));
    }
  }
}

function parkedCalls({ task }: RunState): string[] {
  return [...(task?.calls ?? [])].filter(([, call]) => call.status === 'parked').map(([id]) => id);
}
