/**
 * Opaque proof of a model's reasoning that must come back unchanged, and only to where it was made. Each kind names a wire
 * field; a protocol sends the kinds it knows and drops the others.
 */
export const sealKinds = [
  /** Anthropic `thinking.signature` (Messages, and Claude on Bedrock Converse). */
  'anthropic-signature',
  /** Anthropic `redacted_thinking.data`, Bedrock `redactedContent`. */
  'anthropic-redacted',
  /** Gemini `thoughtSignature`. */
  'gemini-thought',
  /** OpenAI `reasoning.encrypted_content`. */
  'openai-encrypted',
] as const;

export type SealKind = (typeof sealKinds)[number];

/** Who made a seal. */
export interface SealOrigin {
  /** The provider's name in the configuration: an account at a vendor. */
  readonly provider: string;
  /** The provider's name of the model. */
  readonly model: string;
}

export interface Seal {
  readonly kind: SealKind;
  readonly data: string;
  /** Undefined when it came from the client as its vendor made it, never having passed through a translation. */
  readonly origin: SealOrigin | undefined;
}

/** Whether a seal may be sent to a target. One that names its origin goes back there only. */
export function mayOpen(seal: Seal, target: SealOrigin, kinds: readonly SealKind[]): boolean {
  if (!kinds.includes(seal.kind)) return false;
  const { origin } = seal;
  return origin === undefined || (origin.provider === target.provider && origin.model === target.model);
}
