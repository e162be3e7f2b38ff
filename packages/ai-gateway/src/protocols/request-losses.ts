import type { JsonObject } from '../domain/json-object.ts';
import type { Losses } from '../domain/losses.ts';
import type { NeutralRequest, Part, ReasoningOptions } from '../domain/neutral-request.ts';

/** Members of the client's own that go back into its own protocol, and are told as dropped in every other. */
export function reportUnknown(request: NeutralRequest, protocol: string, losses: Losses): JsonObject {
  if (request.protocol === protocol) return request.unknown;
  for (const name of Object.keys(request.unknown)) losses.dropped(name);
  return {};
}

/** Options that a protocol has no member for. */
export function reportDropped(options: Readonly<Record<string, unknown>>, losses: Losses): void {
  for (const [name, value] of Object.entries(options)) if (value !== undefined) losses.dropped(name);
}

/** Thinking tokens that stand for an effort where only the other can be said. Conventions of gateways, no rule of a provider. */
const budgets: readonly (readonly [effort: string, tokens: number])[] = [
  ['low', 2048],
  ['medium', 8192],
  ['high', 24_576],
  ['xhigh', 32_768],
  ['max', 65_536],
];

/** The effort in OpenAI's words. */
export function effortOf(reasoning: ReasoningOptions | undefined, losses: Losses): string | undefined {
  if (reasoning === undefined) return undefined;
  const { isEnabled, effort, budgetTokens } = reasoning;
  if (effort !== undefined) return effort;
  if (!isEnabled) return undefined;
  if (budgetTokens === undefined) return 'medium';
  losses.changed('reasoning.budget_tokens');
  return budgets.find(([, tokens]) => budgetTokens <= tokens)?.[0] ?? 'max';
}

/** The budget for an effort, for models that take only budgets. */
export function budgetOf(effort: string | undefined): number {
  if (effort === 'minimal') return 1024;
  return budgets.find(([name]) => name === effort)?.[1] ?? 8192;
}

/** How a part that could not be sent is reported. */
export function lostPart(part: Part): string {
  return `messages.${part.type === 'foreign' ? part.name : part.type}`;
}
