import type { Desk } from '../http/protocol.ts';

/** What every answer of the API carries. */
export function openaiHeaders(desk: Desk): Record<string, string> {
  return {
    'x-request-id': desk.ids.next('req_', 32).toLowerCase(),
    'openai-version': '2020-10-01',
    'openai-organization': 'simulator',
    'openai-processing-ms': '1',
    'x-ratelimit-limit-requests': '10000',
    'x-ratelimit-remaining-requests': '9999',
    'x-ratelimit-reset-requests': '6ms',
    'x-ratelimit-limit-tokens': '30000000',
    'x-ratelimit-remaining-tokens': '29999000',
    'x-ratelimit-reset-tokens': '2ms',
  };
}
