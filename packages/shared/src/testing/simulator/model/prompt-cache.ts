import { createHash } from 'node:crypto';
import type { PromptCache } from './compose-answer.ts';

/**
 * Remembers how the last prompts began: the first request with a beginning writes it, those that follow read it, as far as
 * they are the same. Holds `maxEntries` beginnings.
 */
export function createPromptCache(maxEntries = 10_000): PromptCache & { clear(): void } {
  const known = new Set<string>();
  const remember = (key: string) => {
    known.delete(key);
    known.add(key);
    if (known.size <= maxEntries) return;
    const [oldest] = known;
    if (oldest !== undefined) known.delete(oldest);
  };
  return {
    touch: (model, segments) => {
      let key = model;
      let shared = 0;
      segments.forEach((segment, index) => {
        key = createHash('sha256').update(key).update('\0').update(segment).digest('base64');
        if (known.has(key)) shared = index + 1;
        remember(key);
      });
      return shared;
    },
    clear: () => known.clear(),
  };
}
