import { Agent, request } from 'node:http';
import { median } from './median.ts';

/** One request after another over one connection; the middle of their times in milliseconds. */
export async function measureLatency(options: {
  url: string;
  headers: Readonly<Record<string, string>>;
  body: string;
  requests: number;
}): Promise<{ p50Ms: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  for (let index = 0; index < options.requests; index++) {
    const startedAt = performance.now();
    await once(options, agent);
    times.push(performance.now() - startedAt);
  }
  agent.destroy();
  return { p50Ms: median(times.slice(times.length >> 3)) };
}

function once(
  options: { url: string; headers: Readonly<Record<string, string>>; body: string },
  agent: Agent,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      options.url,
      {
        method: 'POST',
        agent,
        headers: { ...options.headers, 'content-length': Buffer.byteLength(options.body) },
      },
      response => {
        if (response.statusCode !== 200) reject(new Error(`${options.url} answered ${response.statusCode}`));
        response.resume().on('end', resolve);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(options.body);
  });
}
