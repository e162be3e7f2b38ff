/**
 * Cuts a child's output into lines: partial lines, several lines in one chunk, and characters split between chunks all
 * come out whole (F55). Memory is bounded by the longest line allowed: of a longer one only its two ends are kept.
 */
export interface LineSplitter {
  /** The lines that `chunk` completes, without their ends. */
  push(chunk: Buffer): (Buffer | CutLine)[];
  /** Bytes of the line that is not complete yet. */
  readonly openBytes: number;
}

/** A line past the limit. */
export interface CutLine {
  readonly head: Buffer;
  readonly tail: Buffer;
  readonly bytes: number;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const endBytes = 256;

export function createLineSplitter(maxLineBytes: number): LineSplitter {
  let parts: Buffer[] = [];
  let ends: { readonly head: Buffer; tail: Buffer } | undefined;
  let length = 0;

  const hold = (part: Buffer) => {
    if (part.length === 0) return;
    length += part.length;
    if (ends) {
      ends.tail = lastOf(ends.tail, part);
      return;
    }
    parts.push(part);
    if (length <= maxLineBytes) return;
    const whole = Buffer.concat(parts);
    parts = [];
    ends = { head: Buffer.from(whole.subarray(0, endBytes)), tail: lastOf(whole, Buffer.alloc(0)) };
  };

  const take = (): Buffer | CutLine => {
    const [first = Buffer.alloc(0), ...others] = parts;
    const line = others.length === 0 ? first : Buffer.concat(parts);
    const taken = ends ? { ...ends, bytes: length } : withoutReturn(line);
    parts = [];
    ends = undefined;
    length = 0;
    return taken;
  };

  return {
    push(chunk) {
      const lines: (Buffer | CutLine)[] = [];
      let start = 0;
      for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
        hold(chunk.subarray(start, end));
        lines.push(take());
        start = end + 1;
      }
      hold(chunk.subarray(start));
      return lines;
    },
    get openBytes() {
      return length;
    },
  };
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === carriageReturn ? line.subarray(0, -1) : line;
}

function lastOf(before: Buffer, part: Buffer): Buffer {
  return Buffer.concat([before.subarray(-endBytes), part.subarray(-endBytes)]).subarray(-endBytes);
}
