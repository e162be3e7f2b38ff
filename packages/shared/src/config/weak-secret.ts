const minimumLength = 32;
/** Random text of that length has more different characters than this, in any alphabet of ten or more. */
const minimumDistinct = 8;
/** What people write where a secret is still to come. Long enough that no random text holds one. */
const placeholders =
  /change.?me|place.?holder|your.?(secret|pepper|key)|password|example|insecure|default|test.?secret|0123456789|abcdefgh/i;

/** Why a secret is too weak to protect anything with; undefined for one that may be random. */
export function weaknessOf(secret: string): string | undefined {
  if (secret.length < minimumLength) return `expected at least ${minimumLength} characters`;
  if (placeholders.test(secret)) return 'expected random characters, not a placeholder';
  if (new Set(secret).size < minimumDistinct || isRepeated(secret))
    return 'expected random characters, such as those of `openssl rand -hex 32`';
  return undefined;
}

/** Whether the text is a shorter piece, over and over. */
function isRepeated(text: string): boolean {
  return (text + text).indexOf(text, 1) < text.length;
}
