import { createHash } from 'node:crypto';
import type { PromptCache } from './compose-answer.ts';

/** Remembers the last `maxEntries` prefixes: the first request with a prefix writes it, those that follow read it. */
export function createPromptCache(maxEntries = 1000): PromptCache & { clear(): void } {
  const known = new Set<string>();
  return {
    touch: prefix => {
      const key = createHash('sha256').update(prefix).digest('base64');
      const isThere = known.delete(key);
      known.add(key);
      if (known.size > maxEntries) {
        const [oldest] = known;
        if (oldest !== undefined) known.delete(oldest);
      }
      return isThere;
    },
    clear: () => known.clear(),
  };
}
