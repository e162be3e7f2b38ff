import type { Seal } from '../../domain/seal.ts';
import { type Carried, encodedCarrierMark, load, loadSeal, unload, unloadSeal } from '../carrier.ts';

/**
 * `thoughtSignature` is bytes in base64, and some clients check that. A carrier goes there in base64 of its own; a signature of
 * Gemini's stays as it is. What nobody signed gets the bare mark, so that it is not sent to Gemini as it is.
 */
export function writeSignature(seal: Seal | undefined, reasoning: Carried['reasoning'] = []): string {
  const carrier = load('', { seal, reasoning }) || loadSeal(seal);
  return Buffer.from(carrier, 'latin1').toString('base64');
}

export function readSignature(text: string): Seal | undefined {
  if (!text.startsWith(encodedCarrierMark)) return unloadSeal(text, 'gemini-thought');
  return unloadSeal(Buffer.from(text, 'base64').toString('latin1'), 'gemini-thought');
}

/** What the signature of a call holds: its own seal, and the sealed reasoning before it. */
export function readCallSignature(text: string): Carried {
  if (!text.startsWith(encodedCarrierMark)) return { seal: readSignature(text), reasoning: [] };
  return unload(Buffer.from(text, 'base64').toString('latin1')).carried;
}

/**
 * What Google documents for calls that Gemini did not make: history from another model would be refused without it.
 * https://ai.google.dev/gemini-api/docs/thought-signatures
 */
export const foreignCallSignature = 'skip_thought_signature_validator';
