import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { afterAll, beforeAll } from 'vitest';
import { type RunningGateway, startGateway } from '../harness.ts';
import { upstreams } from './upstreams.ts';

/** An alias for each upstream protocol, and one for its model that thinks; all at one address. */
export function matrixSection(upstreamUrl: string): object {
  return {
    providers: Object.fromEntries(
      upstreams.map(({ name, provider }) => [
        name,
        { api_key: 'sk-provider', allow_private: true, ...provider(upstreamUrl) },
      ]),
    ),
    models: Object.fromEntries(
      upstreams.flatMap(({ name, model, thinkingModel }) => [
        [name, { targets: [{ provider: name, model }] }],
        [`${name}-thinking`, { targets: [{ provider: name, model: thinkingModel }] }],
      ]),
    ),
    attempts: { max_rounds: 1 },
    breaker: { failures: 1000 },
  };
}

export function startMatrixGateway(simulator: Simulator): Promise<RunningGateway> {
  return startGateway({ section: matrixSection(simulator.url) });
}

/** The simulator and a gateway in front of it, as long as the tests of the file that calls this run. */
export function useMatrixGateway(): { readonly gateway: RunningGateway; readonly simulator: Simulator } {
  let simulator: Simulator;
  let gateway: RunningGateway;
  beforeAll(async () => {
    simulator = await startSimulator({ keys: ['sk-provider'] });
    gateway = await startMatrixGateway(simulator);
  });
  afterAll(async () => {
    await gateway.close();
    await simulator.close();
  });
  return {
    get gateway() {
      return gateway;
    },
    get simulator() {
      return simulator;
    },
  };
}
