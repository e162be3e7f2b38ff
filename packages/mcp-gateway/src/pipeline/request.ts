import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { PolicyGuard } from '@strata/shared/identity/policy-guard.ts';
import type { Cursors } from '../domain/cursor.ts';
import type { Call } from '../domain/exchange.ts';
import type { RequestFrame } from '../domain/frame.ts';
import type { Era } from '../domain/protocol-versions.ts';
import type { GatewaySettings } from '../domain/settings.ts';
import type { TaskIds } from '../domain/task-ids.ts';
import type { UpstreamDirectory } from '../domain/upstream-directory.ts';
import type { CallContext, RunCall, TraceContext } from './call-context.ts';
import type { ClientSide } from './client-side.ts';

/** One request of a client. */
export interface Request {
  readonly client: ClientSide;
  readonly caller: Caller;
  readonly call: Call;
  readonly frame: RequestFrame;
  readonly requestId: string;
  readonly trace: TraceContext;
  readonly traceparent: string;
  /** Headers of a request of the new era, which repeat some arguments. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>> | undefined;
}

export interface DispatchDeps {
  readonly clock: Clock;
  readonly directory: UpstreamDirectory;
  readonly settings: () => GatewaySettings;
  readonly runCall: RunCall;
  readonly cursors: Cursors;
  readonly taskIds: TaskIds;
  /** Whether any server offers tasks to clients of this era. */
  readonly haveTasks: (era: Era) => boolean;
  readonly policy: Pick<PolicyGuard, 'require' | 'decide'>;
}

/** The step of one method. */
export type Handler = (request: Request, deps: DispatchDeps) => Promise<Buffer>;

/** The server's thing behind what a client named. */
export interface Target {
  readonly server: string;
  readonly exposedName: string;
  readonly serverName: string;
  readonly edits: CallContext['edits'];
  readonly annotations?: CallContext['annotations'];
  readonly paramHeaders?: CallContext['paramHeaders'];
}

/** Sends a request to its server and gives back the whole answer. */
export type PassOn = (
  request: Request,
  deps: DispatchDeps,
  target: Target,
  onRefused?: () => void,
) => Promise<Buffer>;

export function unknownMethod(method: string): GatewayError {
  return new GatewayError('not_implemented', `The method '${method.slice(0, 100)}' is not known here.`, {
    reason: 'unknown_method',
  });
}
