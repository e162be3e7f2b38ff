import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { nothingUsed } from '@strata/shared/limits/limit.ts';
import { LimitExceeded } from '@strata/shared/limits/limit-answer.ts';
import { freePass, type Limiter, type Pass } from '@strata/shared/limits/limiter.ts';
import { subjectsOf } from '@strata/shared/money/spender.ts';
import { inputTokens, outputTokens } from '@strata/shared/money/usage.ts';
import { type Brought, type Call, type CallStage, lastingOf } from '../domain/call.ts';
import { estimatedTokens } from '../domain/spending.ts';

/**
 * Counts the request against every limit of its caller, model and preferred provider, in one step, before anything else is done for it. Tokens
 * are taken by estimate and corrected by what was used; a place of a concurrency limit is kept until the last byte.
 */
export function createRateLimit(limiter: Limiter): CallStage {
  return <Result extends Brought>(call: Call, next: () => Promise<Result>) => {
    if (limiter.isFree) return next();
    const pass = admit(limiter, call);
    return pass === freePass ? next() : answerWithin(pass, call, next);
  };
}

async function answerWithin<Result extends Brought>(
  entering: Promise<Pass> | Pass,
  call: Call,
  next: () => Promise<Result>,
): Promise<Result> {
  const pass = await entered(entering, call);
  let answer: Result;
  try {
    answer = await next();
  } catch (error) {
    pass.finish(isRefusedByBudget(error, call) ? nothingUsed : { input_tokens: 0, output_tokens: 0 });
    throw error;
  }
  const lasting = lastingOf(answer);
  if (lasting !== undefined) lasting.onEnd(({ facts }) => finish(pass, facts.report?.usage));
  else finish(pass, answer.type === 'whole' ? answer.facts.report?.usage : undefined);
  return answer;
}

/** Whether a budget refused it before any upstream was asked: then it counts nowhere. */
function isRefusedByBudget(error: unknown, { failures }: Call): boolean {
  const isRefused = error instanceof GatewayError && error.kind === 'budget_exceeded';
  return isRefused && failures.every(({ failure, status }) => failure === 'quota' && status === undefined);
}

/** At once where no limit holds. */
function admit(limiter: Limiter, call: Call): Promise<Pass> | Pass {
  const [target] = call.targets;
  return limiter.admit({
    tenant: call.caller.tenant,
    subjects: [
      ...subjectsOf(call.caller),
      { kind: 'model', id: call.route.alias } as const,
      ...(target === undefined ? [] : [{ kind: 'upstream', id: target.provider.name } as const]),
    ],
    amounts: () => {
      const { input, output } = estimatedTokens(call.request);
      return { requests: 1, input_tokens: input, output_tokens: output };
    },
  });
}

/** The answer tells what is left, whether it is one or a refusal. */
async function entered(entering: Promise<Pass> | Pass, call: Call): Promise<Pass> {
  try {
    const pass = await entering;
    Object.assign(call.replyHeaders, pass.headers);
    return pass;
  } catch (error) {
    if (error instanceof LimitExceeded) Object.assign(call.replyHeaders, error.headers);
    throw error;
  }
}

/** What an upstream that kept silent about it used stays as it was estimated. */
function finish(pass: Pass, usage: Parameters<typeof inputTokens>[0] | undefined): void {
  pass.finish(usage && { input_tokens: inputTokens(usage), output_tokens: outputTokens(usage) });
}
