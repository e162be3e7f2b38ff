const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const counterDigits = 7;

/** Ids that never repeat in one simulator, and come in the same order again from the same seed. */
export interface IdSource {
  /** `prefix` and `length` letters and digits. */
  next(prefix: string, length: number): string;
  uuid(): string;
}

export function createIdSource(seed: string): IdSource {
  let counter = 0;
  const random = mulberry(hash32(seed));
  const next = (length: number, base: number): string => {
    // The counter fills the last places, so that no two ids are equal whatever the random part says.
    let text = '';
    let rest = ++counter;
    while (text.length < length) {
      const digit = text.length < counterDigits ? rest % base : Math.floor(random() * base);
      text = alphabet.charAt(digit) + text;
      rest = Math.floor(rest / base);
    }
    return text;
  };
  return {
    next: (prefix, length) => prefix + next(length, 62),
    uuid: () => {
      const hex = next(32, 16).toLowerCase();
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
    },
  };
}

/** FNV-1a over UTF-16 code units. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash ^= text.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}

/** A small seeded generator (mulberry32): numbers in [0, 1). */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
}
