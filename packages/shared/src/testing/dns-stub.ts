import { createSocket, type RemoteInfo } from 'node:dgram';
import { isIPv4 } from 'node:net';

export interface DnsQuestion {
  /** Lower case, without the dot at the end. */
  readonly name: string;
  readonly type: 'A' | 'AAAA' | 'other';
  /** How often this name and type has been asked, from 1. */
  readonly times: number;
}

/** Addresses of both families (those that fit the question are sent), an error, or no answer at all. */
export type DnsAnswer = readonly string[] | 'nxdomain' | 'servfail' | 'refused' | 'silence';

/** A name server on a real loopback UDP port that answers as it is told (H13). Every answer may be another one: rebinding. */
export interface DnsStub {
  /** `127.0.0.1:<port>`, as name servers are configured. */
  readonly server: string;
  readonly questions: readonly DnsQuestion[];
  /** Another answer for questions to come. */
  use(answer: (question: DnsQuestion) => DnsAnswer): void;
  close(): Promise<void>;
}

const typeNames = new Map<number, 'A' | 'AAAA'>([
  [1, 'A'],
  [28, 'AAAA'],
]);
const responseCodes = { ok: 0, servfail: 2, nxdomain: 3, refused: 5 } as const;
const headerBytes = 12;

export async function startDnsStub(answer: (question: DnsQuestion) => DnsAnswer): Promise<DnsStub> {
  const socket = createSocket('udp4');
  const questions: DnsQuestion[] = [];
  let decide = answer;

  socket.on('message', (query, from) => {
    const { name, typeCode, end } = readQuestion(query);
    const type = typeNames.get(typeCode) ?? 'other';
    const times = questions.filter(each => each.name === name && each.type === type).length + 1;
    const question: DnsQuestion = { name, type, times };
    questions.push(question);
    const decided = decide(question);
    if (decided !== 'silence') reply(query.subarray(0, end), type, decided, from);
  });

  function reply(query: Buffer, type: DnsQuestion['type'], decided: DnsAnswer, to: RemoteInfo): void {
    const isError = typeof decided === 'string';
    const code = isError && decided !== 'silence' ? responseCodes[decided] : responseCodes.ok;
    const records = isError ? [] : decided.filter(each => (isIPv4(each) ? 'A' : 'AAAA') === type).map(record);
    const head = Buffer.from(query);
    head.writeUInt16BE(0x8180 | code, 2); // an answer, recursion asked for and available
    head.writeUInt16BE(records.length, 6);
    head.writeUInt32BE(0, 8);
    socket.send(Buffer.concat([head, ...records]), to.port, to.address);
  }

  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve));
  return {
    server: `127.0.0.1:${socket.address().port}`,
    questions,
    use: next => {
      decide = next;
    },
    close: () => new Promise(resolve => socket.close(resolve)),
  };
}

/** The one question of a query, and where it ends: what follows (EDNS) is not answered. */
function readQuestion(query: Buffer): { name: string; typeCode: number; end: number } {
  const labels: string[] = [];
  let at = headerBytes;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), typeCode: query.readUInt16BE(at + 1), end: at + 5 };
}

/** A resource record for the question's own name, with a time to live of 0. */
function record(address: string): Buffer {
  const data = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : ipv6Bytes(address);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | headerBytes, 0);
  head.writeUInt16BE(isIPv4(address) ? 1 : 28, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail = ''] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string) =>
    text === '' ? [] : text.split(':').map(group => Number.parseInt(group, 16));
  const [before, after] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return Buffer.from([...before, ...zeros, ...after].flatMap(group => [group >> 8, group & 255]));
}
