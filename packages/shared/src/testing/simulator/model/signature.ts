import { createHash } from 'node:crypto';

/** The signature of a thinking block. It proves that the text is the model's own, unchanged. */
export function signatureOf(thinking: string): string {
  return `sim${createHash('sha256').update(`thinking:${thinking}`).digest('base64')}`;
}

/** Whether a signature is one of ours, whatever it signs. */
export function isSignature(signature: string): boolean {
  return /^sim[A-Za-z0-9+/]{43}=$/.test(signature);
}

/** Text that was left out of an answer cannot be checked; its signature still has to be one of ours. */
export function isSignatureOf(signature: string, thinking: string): boolean {
  if (thinking === '') return isSignature(signature);
  return signature === signatureOf(thinking);
}
