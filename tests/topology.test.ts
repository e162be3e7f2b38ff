import { expect, test } from 'vitest';
import { startTopology } from '../scripts/topology.ts';
import { smokeTest } from './smoke.ts';

test('the topology of docker-compose.yml, as processes with a real Redis and a real PostgreSQL, passes the same smoke test', async context => {
  const topology = await startTopology();
  if ('missing' in topology) {
    context.skip(topology.missing);
    return;
  }
  try {
    await smokeTest(topology.urls, topology.keys);
    expect(await topology.stop()).toEqual({ 'ai-gateway': 0, 'mcp-gateway': 0, 'agent-gateway': 0 });
  } finally {
    await topology.close();
  }
});
