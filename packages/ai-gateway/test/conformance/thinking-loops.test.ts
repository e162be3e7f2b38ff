import { describe, expect, test } from 'vitest';
import { carrierMark } from '../../src/protocols/carrier.ts';
import { loopClients } from './loops.ts';
import { useMatrixGateway } from './matrix-gateway.ts';
import { upstreams } from './upstreams.ts';

/** Tool loops with thinking, by SDKs that keep the history as their users do: seals come back to who made them, and to nobody else. */

const matrix = useMatrixGateway();

const prompt = `[[think: Two cities, one after the other.]]
[[tool: get_weather {"city":"Rome"}]] [[tool: get_weather {"city":"Oslo"}]] [[say: Both are {{result}}.]]`;

/** Some clients wrap the result of a tool, which reaches an upstream of their own protocol as it is. */
const answer = /^Both are (Sunny|\{.*"Sunny"\})\.$/;

function lastBody(): string {
  return matrix.simulator.requests.at(-1)?.body.toString() ?? '';
}

function sealsIn(body: string, mark: string | undefined): number {
  return mark === undefined ? 0 : body.split(mark).length - 1;
}

for (const client of loopClients) {
  for (const upstream of upstreams) {
    const alias = `${upstream.name}-thinking`;
    const hasSeals = upstream.sealMark !== undefined;
    describe.each([
      ['streamed', true],
      ['whole', false],
    ] as const)(`${client.name} → ${upstream.name}, %s`, (_name, isStream) => {
      test('[AI-5] three turns: the thinking of each turn comes back as it was made', async () => {
        const loop = client.open(matrix.gateway, prompt, isStream);
        const first = await loop.turn(alias);
        expect(first.calls).toHaveLength(1);
        const second = await loop.turn(alias);
        expect(second.calls).toHaveLength(1);
        const third = await loop.turn(alias);
        expect(third).toEqual({ text: expect.stringMatching(answer), calls: [] });
        expect(lastBody()).not.toContain(carrierMark);
        expect(sealsIn(lastBody(), upstream.sealMark)).toBe(hasSeals ? 2 : 0);
      });

      test('[AI-5] a switch to any other provider in turn two drops them and succeeds', async () => {
        for (const other of upstreams.filter(each => each !== upstream)) {
          const loop = client.open(matrix.gateway, prompt, isStream);
          await loop.turn(alias);
          const second = await loop.turn(`${other.name}-thinking`);
          expect(second.calls, other.name).toHaveLength(1);
          expect(lastBody(), other.name).not.toContain(carrierMark);
          const third = await loop.turn(`${other.name}-thinking`);
          expect(third.text, other.name).toMatch(answer);
        }
      });
    });
  }
}
