import { describe, expect, test } from 'vitest';
import { type FailingSdk, failingSdks, seen, type Thrown } from './failing-sdks.ts';
import { useMatrixGateway } from './matrix-gateway.ts';
import { upstreams } from './upstreams.ts';

/** What fails at any upstream is thrown by each SDK as the class that it has for it, and repeated by it only where that can help. */

const matrix = useMatrixGateway();

const statuses = [
  ['the caller', 400, false],
  ['the rate', 429, true],
  ['overload', 503, true],
  ['a failure', 500, true],
  ['the credential', 401, false],
] as const;

function thrownBy(
  sdk: FailingSdk,
  asked: { model: string; prompt: string; key?: string; retries?: number; isStream?: boolean },
): Promise<Thrown> {
  const { model, prompt, key = matrix.gateway.key, retries = 0, isStream = false } = asked;
  return sdk.ask({ server: { url: matrix.gateway.url, key }, model, prompt, retries, isStream }).then(
    () => expect.fail('nothing was thrown'),
    (thrown: unknown) => seen(thrown),
  );
}

/** How often the provider was asked for the answer to this very prompt. */
function askedFor(id: string): number {
  return matrix.simulator.requests.filter(request => request.body.includes(id)).length;
}

describe.each(failingSdks.map(each => [each.name, each] as const))('%s', (_name, sdk) => {
  test.each(statuses)('%s, at each upstream', async (failure, status) => {
    const prompt = `[[fault: status=${status}]]`;
    for (const isStream of [false, true]) {
      const thrown = await Promise.all(
        upstreams.map(({ name: model }) => thrownBy(sdk, { model, prompt, isStream })),
      );
      for (const each of thrown) expect(each).toEqual(sdk.throws[failure]);
    }
  });

  test('a stranger, and a model that is not there', async () => {
    const stranger = await thrownBy(sdk, { model: 'openai-chat', prompt: 'x', key: 'sk-strata-not-a-key' });
    expect(stranger).toEqual(sdk.throws['a stranger']);
    expect(await thrownBy(sdk, { model: 'nowhere', prompt: 'x' })).toEqual(sdk.throws['no model']);
  });
});

const each = (sdks: readonly FailingSdk[]) => sdks.map(sdk => [sdk.name, sdk] as const);

// Most of their time is waiting.
test.concurrent.each(each(failingSdks))(
  '%s repeats what that can help, and nothing else',
  async (name, sdk) => {
    await Promise.all(
      statuses.map(async ([failure, status, canHelp]) => {
        const id = `<${name.replace(/[^a-z]+/g, '-')}-${status}>`;
        const prompt = `[[fault: status=${status};retry-after=0;id=${id}]]`;
        const thrown = await thrownBy(sdk, { model: 'anthropic-messages', prompt, retries: 1 });
        expect(thrown, failure).toEqual(sdk.throws[failure]);
        if (canHelp) expect(askedFor(id), failure).toBe(2);
        else if (status < 500 && (sdk.heedsAdvice || status === 400)) expect(askedFor(id), failure).toBe(1);
      }),
    );
  },
  30_000,
);

test.each(each(failingSdks.filter(({ heedsAdvice }) => heedsAdvice)))(
  '%s waits for as long as the provider asks',
  async (name, sdk) => {
    const startedAtMs = performance.now();
    const prompt = `[[say: At last.]][[fault: status=429;retry-after=2;times=1;id=${name}]]`;
    const { url, key } = matrix.gateway;
    await sdk.ask({ server: { url, key }, model: 'openai-chat', prompt, retries: 1, isStream: false });
    expect(performance.now() - startedAtMs).toBeGreaterThan(1900); // its own wait would be half a second
  },
);
