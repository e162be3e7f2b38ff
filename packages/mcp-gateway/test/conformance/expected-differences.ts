import type { FixtureEra } from '../fixtures/everything/start.ts';
import type { Requirements } from './run-suite.ts';

/**
 * Checks that come out otherwise through the gateway than direct, each with the reason. Everything else must be equal. The
 * lists may only get shorter.
 */
export const expectedDifferences: Readonly<
  Record<FixtureEra, Readonly<Record<Requirements, Readonly<Record<string, string>>>>>
> = {
  dual: {
    '2025-11-25': {},
    '2026-07-28': {},
  },
  modern: {
    '2025-11-25': {
      'server-sse-polling':
        'The suite wants the stream of a call to be closed in the middle of it, by the server. One without sessions has no way to: its answer’s stream cannot be resumed, so to close it is to end the call (2026-07-28, “Transports”).',
    },
    '2026-07-28': {},
  },
  legacy: {
    '2025-11-25': {},
    '2026-07-28': {
      'input-required-result-basic-elicitation':
        'The suite wants the question under the key `user_name`. A server with sessions asks under an id, so the gateway has to make up the key.',
      'server-stateless sep-2575-server-rejects-undeclared-capability':
        'The suite wants -32021 from a tool that needs sampling. A server with sessions refuses in its own words, and which capability it missed is not in them.',
      'server-stateless sep-2575-missing-capability-http-400': 'The same.',
    },
  },
};

export function isExpected(line: string, expected: Readonly<Record<string, string>>): boolean {
  return Object.keys(expected).some(prefix => line.slice(2).startsWith(`server-${prefix}`));
}
