import type { FinishReason } from '../domain/neutral-event.ts';

/** A vendor's names of why answers end. */
export type FinishNames = Readonly<Record<string, FinishReason>>;

/** What a name says; an upstream may write any, also one that every object has a member of. */
export function finishNamed(names: FinishNames, name: string | undefined): FinishReason {
  return (name !== undefined && Object.hasOwn(names, name) ? names[name] : undefined) ?? 'unknown';
}
