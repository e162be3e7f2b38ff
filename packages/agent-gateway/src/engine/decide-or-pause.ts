import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { Command } from '../domain/command.ts';
import { type DecideOptions, decideUnit } from '../domain/decide.ts';
import { toRunError } from '../domain/run-error.ts';
import { type Branch, isBranch, type OpenTask, type RunState } from '../domain/run-state.ts';

/**
 * A decision that breaks would break again on every worker: the run is paused with that, for its owner to see, and decides anew once it
 * is resumed.
 */
export function decideOrPause(
  { runId, state, unit }: { runId: string; state: RunState; unit: OpenTask | Branch },
  options: DecideOptions,
  log: Pick<Logger, 'error'>,
): Command {
  try {
    return decideUnit(state, unit, options);
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    const { path } = isBranch(unit) ? unit.owner : unit;
    log.error({ runId, task: path, err: error }, 'what the run does next could not be decided; it is paused');
    const event = { type: 'run-paused', by: 'engine', error: toRunError(error, path) } as const;
    return { type: 'record', events: [event] };
  }
}
