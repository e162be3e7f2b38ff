import { Secret } from '@strata/shared/secret.ts';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSealer } from './sealer.ts';

const sealer = createSealer(new Secret('a secret of two gateways'));
const sibling = createSealer(new Secret('a secret of two gateways'));

test('[M18] a sealed value opens with the same secret, purpose and binding, until it expires', () => {
  const sealed = sealer.seal('state', 'alice', { park: 7 }, 1000);
  expect(sibling.open('state', 'alice', sealed, 999)).toEqual({ park: 7 });
  expect(sealer.open('state', 'alice', sealed, 1000)).toBeUndefined();
  expect(sealer.open('state', 'mallory', sealed, 0)).toBeUndefined();
  expect(sealer.open('cursor', 'alice', sealed, 0)).toBeUndefined();
  expect(createSealer(new Secret('another')).open('state', 'alice', sealed, 0)).toBeUndefined();
  expect(sealed).not.toContain('park');
});

test('[M18] no changed byte, no cut and no invented text opens', () => {
  const sealed = Buffer.from(sealer.seal('state', 'alice', ['x'.repeat(50)], 1000), 'base64url');
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const forged = Buffer.from(sealed);
      forged[at] = (forged[at] ?? 0) ^ change;
      return sealer.open('state', 'alice', forged.toString('base64url'), 0) === undefined;
    }),
  );
  fc.assert(fc.property(fc.string(), text => sealer.open('state', 'alice', text, 0) === undefined));
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), length => {
      const cut = sealed.subarray(0, length).toString('base64url');
      return sealer.open('state', 'alice', cut, 0) === undefined;
    }),
  );
});
