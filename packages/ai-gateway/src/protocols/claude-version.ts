/** `claude-opus-4-7`, `claude-3-7-sonnet-20250219`, `anthropic.claude-sonnet-5-v1:0`, `claude-sonnet-4-5@20250929`: a date is no version. */
const versionPattern = /claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/;

/** As a number that grows with each release: 4.7 is 407. Undefined where the name does not tell it. */
export function claudeVersion(model: string): number | undefined {
  const [, major, minor = '0'] = versionPattern.exec(model) ?? [];
  return major === undefined ? undefined : Number(major) * 100 + Number(minor);
}

/** Of Opus: from here on it is told how much effort to make. */
const firstEffort = 405;
/** From here on it thinks as much as it finds right. */
const firstAdaptive = 406;
/** From here on it takes no budget of thinking, and nothing of how to sample. */
const firstWithoutKnobs = 407;

/** Of Opus and Sonnet: from here on it cannot be told not to think at all. */
const firstAlwaysThinking = 505;

export function takesSampling(model: string): boolean {
  return (claudeVersion(model) ?? 0) < firstWithoutKnobs;
}

/** What a model takes of the ways to tell it how to think; of one whose name does not tell, all are taken to be. */
export interface WaysToThink {
  readonly isKnown: boolean;
  readonly isAdaptive: boolean;
  readonly hasBudget: boolean;
  /** Beside a budget. */
  readonly hasEffort: boolean;
  /** By efforts that it does not know: the most that it does. */
  readonly ceilings: ReadonlyMap<string, string>;
  /** Whether what it thinks is hidden unless it is asked for. */
  readonly isHidden: boolean;
  /** How it is told not to think before it answers, where it can be. */
  readonly off: 'disabled' | 'between_tools' | undefined;
}

/**
 * Sources: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking, /effort and the pages of what is new in each model below
 * https://platform.claude.com/docs/en/models.
 */
export function waysToThink(model: string): WaysToThink {
  const version = claudeVersion(model);
  const isKnown = version !== undefined;
  const isAdaptive = !isKnown || version >= firstAdaptive;
  return {
    isKnown,
    isAdaptive,
    hasBudget: !isKnown || version < firstWithoutKnobs,
    hasEffort: isAdaptive || (model.includes('opus') && version === firstEffort),
    ceilings: ceilingsOf(version),
    isHidden: isKnown && version >= firstWithoutKnobs,
    off: offSwitch(model, version),
  };
}

const none: ReadonlyMap<string, string> = new Map();
const untilMax: ReadonlyMap<string, string> = new Map([['xhigh', 'high']]);
const untilHigh: ReadonlyMap<string, string> = new Map([...untilMax, ['max', 'high']]);

/** `xhigh` came with 4.7, after `max`, which came with 4.6. */
function ceilingsOf(version: number | undefined): ReadonlyMap<string, string> {
  if (version === undefined || version >= firstWithoutKnobs) return none;
  return version >= firstAdaptive ? untilMax : untilHigh;
}

function offSwitch(model: string, version = 0): WaysToThink['off'] {
  if (/fable|mythos/.test(model)) return undefined;
  if (version < firstAlwaysThinking) return 'disabled';
  if (model.includes('opus')) return undefined;
  return model.includes('sonnet') ? 'between_tools' : 'disabled';
}
