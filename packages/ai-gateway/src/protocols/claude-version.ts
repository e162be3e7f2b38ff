/** `claude-opus-4-7`, `claude-3-7-sonnet-20250219`, `anthropic.claude-sonnet-5-v1:0`, `claude-sonnet-4-5@20250929`: a date is no version. */
const versionPattern = /claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/;

/** As a number that grows with each release: 4.7 is 407. Undefined where the name does not tell it. */
export function claudeVersion(model: string): number | undefined {
  const [, major, minor = '0'] = versionPattern.exec(model) ?? [];
  return major === undefined ? undefined : Number(major) * 100 + Number(minor);
}

/** From here on it thinks as much as it finds right. */
const firstAdaptive = 406;
/** From here on it takes no budget of thinking, and nothing of how to sample. */
const firstWithoutKnobs = 407;

export function takesSampling(model: string): boolean {
  return (claudeVersion(model) ?? 0) < firstWithoutKnobs;
}

/** The ways of telling a model to think that it takes; of one whose name does not tell, both are taken to be. */
export function waysToThink(model: string): { readonly isAdaptive: boolean; readonly hasBudget: boolean } {
  const version = claudeVersion(model);
  return {
    isAdaptive: version === undefined || version >= firstAdaptive,
    hasBudget: version === undefined || version < firstWithoutKnobs,
  };
}
