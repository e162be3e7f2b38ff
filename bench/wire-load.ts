/**
 * A load on bare sockets, in a process of its own: what the load itself costs shares a core with the upstream, so it must cost little. Reads its job from the
 * environment, prints one line of JSON. Counts only complete answers with status 200.
 */
import { connect } from 'node:net';
import { median } from './median.ts';

const { URL: url = '', HEADERS = '{}', BODY = '', CONNECTIONS = '1', REQUESTS = '1000' } = process.env;
const target = new URL(url);
const fields = Object.entries(JSON.parse(HEADERS) as Record<string, string>);
const request = [
  `POST ${target.pathname}${target.search} HTTP/1.1`,
  `host: ${target.host}`,
  `content-length: ${Buffer.byteLength(BODY)}`,
  ...fields.map(([name, value]) => `${name}: ${value}`),
  '',
  BODY,
].join('\r\n');
/** Stands for a number that is another one in each request; the SDK's classes mix up answers to equal ids. */
const counted = '1000000000';
const total = Number(REQUESTS);
const times: number[] = [];
const firstBytes: number[] = [];
let begun = 0;
let done = 0;
let failures = 0;

function loop(): Promise<void> {
  return new Promise(resolve => {
    const socket = connect(Number(target.port), target.hostname);
    socket.setNoDelay(true);
    let held = '';
    let startedAt = 0;
    const send = () => {
      if (begun >= total) {
        socket.destroy();
        resolve();
        return;
      }
      begun++;
      held = '';
      startedAt = performance.now();
      socket.write(request.replace(counted, String(Number(counted) + begun)));
    };
    socket.on('connect', send);
    socket.on('data', chunk => {
      if (held === '') firstBytes.push(performance.now() - startedAt);
      held += chunk.toString('latin1');
      if (!isComplete(held)) return;
      times.push(performance.now() - startedAt);
      if (held.startsWith('HTTP/1.1 200')) done++;
      else failures++;
      send();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (begun < total) failures++;
      resolve();
    });
  });
}

function isComplete(answer: string): boolean {
  const headEnd = answer.indexOf('\r\n\r\n');
  if (headEnd === -1) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(answer.slice(0, headEnd + 2))?.[1];
  if (length !== undefined) return answer.length >= headEnd + 4 + Number(length);
  return answer.endsWith('\r\n0\r\n\r\n');
}

const startedAt = performance.now();
await Promise.all(Array.from({ length: Number(CONNECTIONS) }, loop));
const seconds = (performance.now() - startedAt) / 1000;
const sorted = times.toSorted((left, right) => left - right);
console.log(
  JSON.stringify({
    requestsPerSecond: done / seconds,
    p50Ms: median(times),
    firstByteP50Ms: median(firstBytes),
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
    failures,
  }),
);
