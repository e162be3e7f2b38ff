/** One of the samples with a few bytes changed, cut out, doubled or put in; for fuzz tests, fast enough for millions. */
export function mutate(samples: readonly Buffer[], random: () => number): Buffer {
  const pick = (count: number) => Math.floor(random() * count);
  let bytes = Buffer.from(samples[pick(samples.length)] ?? Buffer.alloc(0));
  for (let changes = pick(4); changes > 0 && bytes.length > 0; changes--) {
    const at = pick(bytes.length);
    switch (pick(5)) {
      case 0:
        bytes[at] = pick(256);
        break;
      case 1:
        bytes[at] = telling[pick(telling.length)] ?? 0;
        break;
      case 2:
        bytes = bytes.subarray(0, at);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + pick(4))]);
        break;
      default:
        bytes = Buffer.concat([bytes.subarray(0, at + 1), bytes.subarray(pick(at + 1))]);
    }
  }
  return bytes;
}

/** Bytes on which parsers turn. */
const telling = Buffer.from('\n\r:{}[]",\\ \0\x01\x7f\x80\xff0-', 'latin1');

/** The bytes in up to four pieces, cut anywhere; some may be empty. */
export function split(bytes: Buffer, random: () => number): Buffer[] {
  const cuts = [0, bytes.length];
  for (let count = 1 + Math.floor(random() * 3); count > 0; count--) {
    cuts.push(Math.floor(random() * (bytes.length + 1)));
  }
  cuts.sort((left, right) => left - right);
  return cuts.slice(1).map((end, index) => bytes.subarray(cuts[index], end));
}
