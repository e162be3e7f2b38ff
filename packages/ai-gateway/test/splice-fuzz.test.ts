import { isUtf8 } from 'node:buffer';
import { JsonScanError } from '@strata/shared/json/scan-problem.ts';
import { splice } from '@strata/shared/json/splice.ts';
import { mutate } from '@strata/shared/testing/mutate.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { sized } from '@strata/shared/testing/size.ts';
import { expect, test } from 'vitest';
import { scanObject } from '../src/domain/json-scan.ts';
import { setMember } from '../src/domain/json-splice.ts';

const inputs = sized({ ci: 1_000_000, soak: 10_000_000 });

const bodies = [
  '{"model":"a","messages":[{"role":"user","content":"é\\u00e9\\n"}],"n":-1.5e+3}',
  '{ "stream" : true , "model" : "x" , "o":{"model":"inner","a":[1,[2,{}],null]} }',
  '{"mod\\u0065l":"a","model":{"x":1},"stop":["\\"","\\\\"]}',
  '{}',
].map(text => Buffer.from(text));

test('[AI-2] any bytes as a request: what is refused is no JSON object, and a splice changes the one member and no other byte', {
  timeout: 3_600_000,
}, () => {
  const seed = Date.now() & 0xffff;
  const random = seededRandom(seed);
  let accepted = 0;
  for (let index = 0; index < inputs; index++) {
    const body = mutate(bodies, random);
    if (!isUtf8(body)) continue; // refused before the scan
    const value = parse(body);
    const spliced = trySplice(body);
    if ((spliced === undefined) !== (value === undefined)) throw new Error(`seed ${seed}: ${body}`);
    if (spliced === undefined || value === undefined) continue;
    accepted++;
    const { model: _model, ...others } = value;
    const { model, ...rest } = JSON.parse(spliced.toString()) as Record<string, unknown>;
    if (model !== '<new>' || JSON.stringify(rest) !== JSON.stringify(others)) {
      throw new Error(`seed ${seed}: ${body} became ${spliced}`);
    }
  }
  expect(accepted).toBeGreaterThan(inputs / 20);
});

function trySplice(body: Buffer): Buffer | undefined {
  try {
    return splice(body, setMember(scanObject(body), 'model', '"<new>"'));
  } catch (error) {
    if (error instanceof JsonScanError) return undefined;
    throw error;
  }
}

/** The oracle. `__proto__` is an ordinary member to both. */
function parse(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString());
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
