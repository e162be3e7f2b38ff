import type { EncodeTarget } from '../domain/codec.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { Losses } from '../domain/losses.ts';
import type { NeutralRequest, ReasoningOptions } from '../domain/neutral-request.ts';
import { type WaysToThink, waysToThink } from './claude-version.ts';
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
 * is for an effort and a model whose version is not known.
 */
export function claudeThinking(
  { reasoning, sampling }: NeutralRequest,
  target: Pick<EncodeTarget, 'model' | 'maxOutputTokens'>,
  { inDoubt, losses }: { readonly inDoubt: 'adaptive' | 'budget'; readonly losses: Losses },
): ClaudeThinking {
  if (reasoning === undefined) return {};
  const ways = waysToThink(target.model);
  const isBudgeted = reasoning.budgetTokens !== undefined || (!ways.isKnown && inDoubt === 'budget');
  if (!ways.hasBudget || (ways.isAdaptive && !isBudgeted)) return adaptive(reasoning, ways, losses);
  const room = (sampling.maxTokens ?? target.maxOutputTokens ?? Number.POSITIVE_INFINITY) - 1;
  return budgeted(reasoning, { room, ways, losses });
}

/** How Claude is told not to think. Some always do; Sonnet can still be told not to before it begins (`between_tools`). */
export function noClaudeThinking(model: string, losses: Losses): ClaudeThinking {
  const { off } = waysToThink(model);
  if (off === undefined) losses.dropped('reasoning');
  if (off === 'between_tools') losses.changed('reasoning');
  return off === undefined ? {} : { option: { type: off } };
}

function adaptive(reasoning: ReasoningOptions, ways: WaysToThink, losses: Losses): ClaudeThinking {
  const { budgetTokens } = reasoning;
  if (budgetTokens !== undefined) losses.changed('reasoning.budget_tokens');
  const asked = budgetTokens ? effortOf(reasoning, losses) : reasoning.effort;
  return { option: { type: 'adaptive', ...display(reasoning, ways) }, effort: within(asked, ways, losses) };
}

function within(asked: string | undefined, { ceilings }: WaysToThink, losses: Losses): string | undefined {
  if (asked === undefined) return undefined;
  const effort = asked === 'minimal' ? 'low' : (ceilings.get(asked) ?? asked);
  if (effort !== asked) losses.changed('reasoning.effort');
  return effort;
}

function budgeted(
  reasoning: ReasoningOptions,
  { room, ways, losses }: { room: number; ways: WaysToThink; losses: Losses },
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
  if (hasBoth && !ways.hasEffort) losses.dropped('reasoning.effort');
  return {
    option: { type: 'enabled', budget_tokens: budget, ...display(reasoning, ways) },
    ...(hasBoth && ways.hasEffort && { effort: within(effort, ways, losses) }),
    budget,
  };
}

function display({ isShown }: ReasoningOptions, { isHidden }: WaysToThink): JsonObject {
  if (isShown === false) return { display: 'omitted' };
  return isShown && isHidden ? { display: 'summarized' } : {};
}
