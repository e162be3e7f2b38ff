import { LimitExceeded } from '@strata/shared/limits/limit-answer.ts';
import type { Limiter, Pass } from '@strata/shared/limits/limiter.ts';
import { subjectsOf } from '@strata/shared/money/spender.ts';
import type { CallContext, CallStage } from './call-context.ts';
import { limitsOfTool } from './tool-limits.ts';

/**
 * Counts the call of a tool against the limits of its caller, the tool and its server, and those its server is configured with. All replicas
 * share them; while they cannot, each keeps to its part.
 */
export function countCall(limiter: Limiter): CallStage {
  return async (context, next) => {
    if (context.frame.method !== 'tools/call') return next();
    const pass = await admit(limiter, context);
    try {
      return await next();
    } finally {
      pass.finish();
    }
  };
}

/** The answer tells what is left, also when the call is refused. */
async function admit(limiter: Limiter, context: CallContext): Promise<Pass> {
  const { caller, call } = context;
  try {
    const pass = await limiter.admit({
      tenant: caller.tenant,
      subjects: [...subjectsOf(caller), ...toolSubjects(context)],
      amounts: () => ({ requests: 1, tool_calls: 1 }),
      also: limitsOfTool(context),
    });
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
