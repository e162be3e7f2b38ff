import type { Usage } from '@strata/shared/money/usage.ts';

interface Told {
  readonly audio: number;
  readonly image: number;
}

/** A number of tokens with what of them is sound and pictures taken out, at most all of it: the sum stays what it was. */
export function inputParts(total: number, told: Told): Pick<Usage, 'input' | 'audioInput' | 'imageInput'> {
  const { text, audio, image } = partsOf(total, told);
  return { input: text, ...(audio > 0 && { audioInput: audio }), ...(image > 0 && { imageInput: image }) };
}

export function outputParts(
  total: number,
  told: Told,
): Pick<Usage, 'output' | 'audioOutput' | 'imageOutput'> {
  const { text, audio, image } = partsOf(total, told);
  return { output: text, ...(audio > 0 && { audioOutput: audio }), ...(image > 0 && { imageOutput: image }) };
}

function partsOf(total: number, told: Told): Told & { readonly text: number } {
  const audio = Math.min(told.audio, total);
  const image = Math.min(told.image, total - audio);
  return { text: total - audio - image, audio, image };
}

/** Uses of tools that the provider runs, where there were any. */
export function toolUses(count: number): Pick<Usage, 'toolUnits'> {
  return count > 0 ? { toolUnits: count } : {};
}
