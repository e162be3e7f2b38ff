import type { Simulator } from '@strata/shared/testing/simulator/simulator.ts';
import { type RunningGateway, startGateway } from '../harness.ts';
import { upstreams } from './upstreams.ts';

/** A gateway with an alias for each upstream protocol, and one for its model that thinks. */
export function startMatrixGateway(simulator: Simulator): Promise<RunningGateway> {
  const section = {
    providers: Object.fromEntries(
      upstreams.map(({ name, provider }) => [
        name,
        { api_key: 'sk-provider', allow_private: true, ...provider(simulator.url) },
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
  return startGateway({ section });
}
