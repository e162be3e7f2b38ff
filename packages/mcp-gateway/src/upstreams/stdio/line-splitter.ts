/**
 * Cuts a child's output into lines: partial lines, several lines in one chunk, and characters split between chunks all
 * come out whole (F55). Memory is bounded by the longest line allowed.
 */
export interface LineSplitter {
  /** The lines that `chunk` completes, without their ends. A line that grows past the limit gives `'too-long'`. */
  push(chunk: Buffer): Buffer[] | 'too-long';
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

export function createLineSplitter(maxLineBytes: number): LineSplitter {
  let parts: Buffer[] = [];
  let length = 0;

  return {
    push(chunk) {
      const lines: Buffer[] = [];
      let start = 0;
      for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
        const rest = chunk.subarray(start, end);
        if (length + rest.length > maxLineBytes) return 'too-long';
        const line = parts.length === 0 ? rest : Buffer.concat([...parts, rest]);
        parts = [];
        length = 0;
        start = end + 1;
        lines.push(line.at(-1) === carriageReturn ? line.subarray(0, -1) : line);
      }
      const tail = chunk.subarray(start);
      length += tail.length;
      if (length > maxLineBytes) return 'too-long';
      if (tail.length > 0) parts.push(tail);
      return lines;
    },
  };
}
