import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { systemClock } from '../clock.ts';
import { createDialer } from './dialer.ts';
import { networkSection } from './network-section.ts';
import { createOrigin } from './origin.ts';

const server = spawn(
  process.execPath,
  [
    '-e',
    `const b={};require('node:http').createServer((q,r)=>{q.resume();const n=Number(q.url.slice(1));b[n]??=Buffer.alloc(n,'x');r.setHeader('content-length',n);r.end(b[n])}).listen(0,'127.0.0.1',function(){console.log(this.address().port)})`,
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
const [out] = await once(server.stdout, 'data');
const origin = createOrigin({
  name: 'up',
  url: `http://127.0.0.1:${Number(String(out))}`,
  allowPrivate: true,
});
const dialer = createDialer({ config: networkSection.parse({}), clock: systemClock });
const signal = new AbortController().signal;
for (const [size, n] of [
  [600, 20000],
  [20000, 5000],
  [100_000, 3000],
  [1_000_000, 500],
  [10_000_000, 40],
] as const) {
  const run = async (count: number) => {
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (let i = 0; i < count / 16; i++) {
          const r = await dialer.request(origin, {
            method: 'POST',
            path: `/${size}`,
            headers: {},
            body: '{}',
            signal,
          });
          const b = await r.readAll(1e8);
          if (b.length !== size) throw new Error('size');
        }
      }),
    );
  };
  await run(n / 2);
  const c = process.cpuUsage();
  await run(n);
  const d = process.cpuUsage(c);
  console.log(size, ((d.user + d.system) / n).toFixed(0), 'µs CPU', (d.user / n).toFixed(0), 'user');
}
server.kill();
await dialer.close();
process.exit(0);
