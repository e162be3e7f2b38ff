import type { ModelLimits, PriceList } from '@strata/shared/money/price.ts';

export const modalities = ['text', 'image', 'audio', 'video', 'file'] as const;
export const features = ['tools', 'reasoning', 'structured_outputs'] as const;

/** What is known of a model before it is asked. What is undefined is not known. */
export interface Capabilities extends ModelLimits {
  readonly inputModalities: readonly (typeof modalities)[number][] | undefined;
  readonly outputModalities: readonly (typeof modalities)[number][] | undefined;
  readonly features: readonly (typeof features)[number][] | undefined;
}

/** What the configuration says of an alias; else the least of what is known of its targets, since any of them may answer. */
export function capabilitiesOf(route: {
  readonly declared?: Capabilities;
  readonly targets: readonly { readonly prices: PriceList | undefined }[];
}): Capabilities {
  const { declared, targets } = route;
  const limits = targets.map(({ prices }) => prices?.limits);
  return {
    contextTokens: declared?.contextTokens ?? least(limits.map(each => each?.contextTokens)),
    maxOutputTokens: declared?.maxOutputTokens ?? least(limits.map(each => each?.maxOutputTokens)),
    inputModalities: declared?.inputModalities,
    outputModalities: declared?.outputModalities,
    features: declared?.features,
  };
}

function least(counts: readonly (number | undefined)[]): number | undefined {
  const known = counts.filter(count => count !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
