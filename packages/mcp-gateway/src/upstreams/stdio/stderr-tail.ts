/** The last bytes a server wrote to stderr, for the message when it dies. Control characters are taken out. */
export interface StderrTail {
  push(chunk: Buffer): void;
  text(): string;
}

export function createStderrTail(maxBytes: number): StderrTail {
  let tail = Buffer.alloc(0);
  return {
    push(chunk) {
      tail = Buffer.concat([tail, chunk.subarray(-maxBytes)]).subarray(-maxBytes);
    },
    text() {
      return tail
        .toString('utf8')
        .replace(/[^\P{Cc}\n\t]/gu, '')
        .trim();
    },
  };
}
