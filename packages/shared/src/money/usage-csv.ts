import { usdText } from './nano-usd.ts';
import type { UsageGroup } from './usage-groups.ts';
import type { UsageTotal } from './usage-report.ts';

/** RFC 4180, one line a group under a line of names. */
export function usageCsv(by: readonly UsageGroup[], totals: readonly UsageTotal[]): string {
  const lines = totals.map(total =>
    [
      ...total.groups.map((group = '') => csvField(group)),
      total.attempts,
      total.inputTokens,
      total.outputTokens,
      total.mediaTokens,
      total.toolUnits,
      usdText(total.costNanoUsd),
      total.withoutCost,
    ].join(','),
  );
  const names = [...by, ...csvColumns].join(',');
  return `${[names, ...lines].join('\n')}\n`;
}

const csvColumns = [
  'attempts',
  'input_tokens',
  'output_tokens',
  'media_tokens',
  'tool_units',
  'cost_usd',
  'attempts_without_cost',
];

/** A leading `=`, `+`, `-`, `@` or control character would make a formula of it in spreadsheets (OWASP, CSV injection), so it is made text. */
function csvField(text: string): string {
  const safe = /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
