import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { nothingUsed } from '@strata/shared/limits/limit.ts';
import { LimitExceeded } from '@strata/shared/limits/limit-answer.ts';
import type { Limiter, Pass } from '@strata/shared/limits/limiter.ts';
import { subjectsOf } from '@strata/shared/money/spender.ts';
import type { Call } from '../domain/exchange.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import type { CallContext, CallStage } from './call-context.ts';
import { limitsOfTool } from './tool-limits.ts';

/**
 * Counts the call of a tool against the limits of its caller, the tool and its server, and those its server is configured with. All replicas
 * share them; while they cannot, each keeps to its part.
 */
export function countCall(limiter: Limiter): CallStage {
  return (context, next) => {
    if (context.frame.method !== 'tools/call') return next();
    const { caller } = context;
    const ofTool = limitsOfTool(context);
    if (ofTool.length === 0 && limiter.isFree) return next();
    const admitted = limiter.admit({
      tenant: caller.tenant,
      subjects: [...subjectsOf(caller), ...toolSubjects(context)],
      amounts: countsOnce,
      also: ofTool,
    });
    return admitted instanceof Promise ? counted(admitted, context, next) : next(); // at once: no limit holds
  };
}

const countsOnce = () => ({ requests: 1, tool_calls: 1 });

async function counted(
  admitted: Promise<Pass>,
  { call }: CallContext,
  next: () => Promise<ResponseFrame>,
): Promise<ResponseFrame> {
  const pass = await tellingLimits(admitted, call);
  try {
    return await next();
  } catch (error) {
    // A budget refuses before the server is asked: such a call counts nowhere.
    if (error instanceof GatewayError && error.kind === 'budget_exceeded') pass.finish(nothingUsed);
    throw error;
  } finally {
    pass.finish();
  }
}

/** The answer tells what is left, also when the call is refused. */
async function tellingLimits(admitted: Promise<Pass>, call: Call): Promise<Pass> {
  try {
    const pass = await admitted;
    call.exchange.addHeaders?.(pass.headers);
    return pass;
  } catch (error) {
    if (error instanceof LimitExceeded) call.exchange.addHeaders?.(error.headers);
    throw error;
  }
}

/** What a call is about, as budgets and limits name it. */
export function toolSubjects({ exposedName, upstream }: CallContext) {
  return [
    ...(exposedName === undefined ? [] : [{ kind: 'tool', id: exposedName } as const]),
    { kind: 'upstream', id: upstream.name } as const,
  ];
}
