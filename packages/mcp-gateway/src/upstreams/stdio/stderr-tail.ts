import type { Withheld } from '@strata/shared/http/withhold-credentials.ts';

/** The last bytes a server wrote to stderr, for the message when it dies: without what it was shown, and without control characters. */
export interface StderrTail {
  push(chunk: Buffer): void;
  text(): string;
}

/** Twice as much is kept: a credential whose beginning is gone already is known by nothing, and lies in the line that is not told. */
export function createStderrTail(maxBytes: number, withheld: Pick<Withheld, 'inBytes'>): StderrTail {
  let tail = Buffer.alloc(0);
  let isCut = false;
  return {
    push(chunk) {
      isCut ||= tail.length + chunk.length > 2 * maxBytes;
      tail = Buffer.concat([tail, chunk.subarray(-2 * maxBytes)]).subarray(-2 * maxBytes);
    },
    text() {
      const told = withheld.inBytes(tail); // before the breaks in a credential are taken out
      const known = isCut ? told.subarray(firstBreak(told, maxBytes)) : told;
      return known
        .subarray(-maxBytes)
        .toString('utf8')
        .replace(/[^\P{Cc}\n\t]/gu, '')
        .trim();
    },
  };
}

/** Where the first line ends, after `most` bytes at the latest. */
function firstBreak(text: Buffer, most: number): number {
  const at = text.indexOf('\n');
  return at < 0 ? most : Math.min(at, most);
}
