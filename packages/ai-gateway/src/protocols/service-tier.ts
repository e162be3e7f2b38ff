/** What Anthropic and Google call the tier of everybody. */
const standard = new Set(['standard', 'on_demand']);

/** A tier of service that was given, in the words of OpenAI and of Converse. */
export function tierNamed(tier: string): string {
  return standard.has(tier) ? 'default' : tier;
}
