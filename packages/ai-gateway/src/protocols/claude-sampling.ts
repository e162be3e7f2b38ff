import type { Losses } from '../domain/losses.ts';
import type { NeutralRequest } from '../domain/neutral-request.ts';
import { takesSampling } from './claude-version.ts';

type Sampling = Pick<NeutralRequest['sampling'], 'temperature' | 'topP' | 'topK'>;

const leastTopPWhileThinking = 0.95;

/**
 * How Claude may be told to sample: temperatures go from 0 to 1 here, to 2 elsewhere. While it thinks, it takes no temperature but 1, no
 * `top_k`, and a `top_p` of 0.95 or more (https://docs.claude.com/en/docs/build-with-claude/extended-thinking). Since Opus 4.1 its models
 * refuse a temperature beside a `top_p`: the one that is what it would be anyway, 1, says nothing and goes; of two that say something the
 * temperature stays. Since 4.7 they take none of the three (https://platform.claude.com/docs/en/about-claude/models/migration-guide).
 */
export function claudeSampling(
  sampling: Sampling,
  {
    model,
    isThinking,
    losses,
  }: { readonly model: string; readonly isThinking: boolean; readonly losses: Losses },
): Sampling {
  if (!takesSampling(model)) return none(sampling, losses);
  return isThinking ? whileThinking(sampling, losses) : oneOfTwo(sampling, losses);
}

function none({ temperature, topP, topK }: Sampling, losses: Losses): Sampling {
  if (temperature !== undefined && temperature !== 1) losses.dropped('temperature');
  if (topP !== undefined && topP !== 1) losses.dropped('top_p');
  if (topK !== undefined) losses.dropped('top_k');
  return { temperature: undefined, topP: undefined, topK: undefined };
}

function oneOfTwo({ temperature: asked, topP, topK }: Sampling, losses: Losses): Sampling {
  const isTooHot = asked !== undefined && asked > 1;
  if (isTooHot) losses.changed('temperature');
  const temperature = isTooHot ? 1 : asked;
  if (temperature === undefined || topP === undefined) return { temperature, topP, topK };
  if (topP !== 1 && temperature === 1) return { temperature: undefined, topP, topK };
  if (topP !== 1) losses.dropped('top_p');
  return { temperature, topP: undefined, topK };
}

function whileThinking({ temperature, topP, topK }: Sampling, losses: Losses): Sampling {
  if (temperature !== undefined && temperature !== 1) losses.dropped('temperature');
  if (topK !== undefined) losses.dropped('top_k');
  const isTooNarrow = topP !== undefined && topP < leastTopPWhileThinking;
  if (isTooNarrow) losses.changed('top_p');
  return { temperature: undefined, topP: isTooNarrow ? leastTopPWhileThinking : topP, topK: undefined };
}
