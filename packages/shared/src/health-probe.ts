/** `node health-probe.ts URL`: ends with 0 when the URL answers 2xx within two seconds. For container health checks. */
const [url] = process.argv.slice(2);
if (url === undefined) throw new Error('usage: health-probe.ts URL');

const isHealthy = await fetch(url, { signal: AbortSignal.timeout(2000), redirect: 'manual' }).then(
  response => response.ok,
  () => false,
);
process.exit(isHealthy ? 0 : 1);
