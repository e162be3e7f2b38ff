import type { EncodeTarget } from '../domain/codec.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { Losses } from '../domain/losses.ts';
import type { NeutralRequest, ReasoningOptions } from '../domain/neutral-request.ts';
import { waysToThink } from './claude-version.ts';
import { budgetOf, effortOf } from './request-losses.ts';

const minBudget = 1024;

/** How Claude is told to think, in the members of its own API. */
export interface ClaudeThinking {
  readonly option?: JsonObject;
  readonly effort?: string | undefined;
  readonly budget?: number;
}

/**
 * A client's budget stays a budget and an effort becomes adaptive thinking with that effort, where the model takes the one and the other:
 * until 4.5 it takes budgets alone, since 4.7 none (https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking). `inDoubt`
 * is for an effort and a model of which nothing is known.
 */
export function claudeThinking(
  { reasoning, sampling }: NeutralRequest,
  target: Pick<EncodeTarget, 'model' | 'maxOutputTokens'>,
  { inDoubt, losses }: { readonly inDoubt: 'adaptive' | 'budget'; readonly losses: Losses },
): ClaudeThinking {
  if (reasoning === undefined) return {};
  const { isAdaptive, hasBudget } = waysToThink(target.model);
  const isBudgeted = reasoning.budgetTokens !== undefined || (hasBudget && inDoubt === 'budget');
  if (!hasBudget || (isAdaptive && !isBudgeted)) return adaptive(reasoning, losses);
  const room = (sampling.maxTokens ?? target.maxOutputTokens ?? Number.POSITIVE_INFINITY) - 1;
  return budgeted(reasoning, { room, takesEffort: isAdaptive, losses });
}

function adaptive(reasoning: ReasoningOptions, losses: Losses): ClaudeThinking {
  const { budgetTokens } = reasoning;
  if (budgetTokens !== undefined) losses.changed('reasoning.budget_tokens');
  const asked = budgetTokens ? effortOf(reasoning, losses) : reasoning.effort;
  const effort = asked === 'minimal' ? 'low' : asked;
  if (effort !== asked) losses.changed('reasoning.effort');
  return { option: { type: 'adaptive', ...display(reasoning) }, effort };
}

function budgeted(
  reasoning: ReasoningOptions,
  { room, takesEffort, losses }: { room: number; takesEffort: boolean; losses: Losses },
): ClaudeThinking {
  const { effort, budgetTokens } = reasoning;
  const wanted = budgetTokens || budgetOf(effort);
  const budget = Math.min(Math.max(wanted, minBudget), room);
  if (budget < minBudget) {
    losses.dropped('reasoning');
    return {};
  }
  if (budget !== (budgetTokens ?? wanted)) losses.changed('reasoning.budget_tokens');
  const hasBoth = effort !== undefined && budgetTokens !== undefined;
  if (hasBoth && !takesEffort) losses.dropped('reasoning.effort');
  return {
    option: { type: 'enabled', budget_tokens: budget, ...display(reasoning) },
    ...(hasBoth && takesEffort && { effort }),
    budget,
  };
}

function display({ isShown }: ReasoningOptions): JsonObject {
  return isShown === false ? { display: 'omitted' } : {};
}
