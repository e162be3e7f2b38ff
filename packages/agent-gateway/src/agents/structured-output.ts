import type { PlannedCall } from '../domain/task-type.ts';
import type { ChatMessage } from './chat-message.ts';

/** What the effect `schema` is asked. */
export interface OutputCheck {
  readonly schema: unknown;
  readonly text: string;
}

export type OutputVerdict = { readonly value: unknown } | { readonly problems: readonly string[] };

/** How often a model may mend an answer that is not what the schema says. */
export const maxRepairs = 2;

export const checkCallId = (turn: number) => `check-${turn}`;

export function checkOutput(turn: number, request: OutputCheck): PlannedCall {
  return { id: checkCallId(turn), effect: 'schema', label: 'check answer', request, inDoubt: 'retry' };
}

/** What a model is told about an answer that does not fit. */
export function askForRepair(problems: readonly string[]): ChatMessage {
  const list = problems.map(problem => `- ${problem}`).join('\n');
  return {
    role: 'user',
    content: `The answer does not match the required JSON schema:\n${list}\nAnswer again with the corrected JSON and nothing else.`,
  };
}
