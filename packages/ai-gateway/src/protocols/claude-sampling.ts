import type { Losses } from '../domain/losses.ts';
import type { NeutralRequest } from '../domain/neutral-request.ts';

type Sampling = Pick<NeutralRequest['sampling'], 'temperature' | 'topP' | 'topK'>;

const leastTopPWhileThinking = 0.95;

/**
 * How Claude may be told to sample: temperatures go from 0 to 1 here, to 2 elsewhere. While it thinks, it takes no temperature but 1, no
 * `top_k`, and a `top_p` of 0.95 or more (https://docs.claude.com/en/docs/build-with-claude/extended-thinking). Newer models take one of
 * temperature and `top_p`: one that lets everything through says nothing and goes.
 */
export function claudeSampling(
  { temperature, topP, topK }: Sampling,
  isThinking: boolean,
  losses: Losses,
): Sampling {
  if (!isThinking) {
    const isTooHot = temperature !== undefined && temperature > 1;
    if (isTooHot) losses.changed('temperature');
    return {
      temperature: isTooHot ? 1 : temperature,
      topP: topP === 1 && temperature !== undefined ? undefined : topP,
      topK,
    };
  }
  if (temperature !== undefined && temperature !== 1) losses.dropped('temperature');
  if (topK !== undefined) losses.dropped('top_k');
  const isTooNarrow = topP !== undefined && topP < leastTopPWhileThinking;
  if (isTooNarrow) losses.changed('top_p');
  return { temperature: undefined, topP: isTooNarrow ? leastTopPWhileThinking : topP, topK: undefined };
}
