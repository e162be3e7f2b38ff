/** Scenarios for clients that ask for something the gateway is not, each with the reason. The list may only get shorter. */
const reasons: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [
    /^auth\//,
    'The gateway is no OAuth client: the credential for a server is the operator’s, in the configuration. What it does with a refusal is in `http-upstream.test.ts`.',
  ],
  [
    /^sep-2640-/,
    'Skills are loaded and verified by whoever runs them: the client behind the gateway. The gateway passes their resources on as they are.',
  ],
];

export function explanationOf(scenario: string): string | undefined {
  return reasons.find(([pattern]) => pattern.test(scenario))?.[1];
}
