import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Secret } from './secret.ts';

test('no implicit conversion shows the value', () => {
  const secret = new Secret('canary-123');
  const shown = [
    `${secret}`,
    String(secret),
    JSON.stringify({ secret }),
    inspect({ nested: [secret] }, { depth: 9, showHidden: true }),
    JSON.stringify(Object.entries(secret)),
    structuredCloneText(secret),
  ];
  for (const text of shown) expect(text).not.toContain('canary-123');
  expect(secret.reveal()).toBe('canary-123');
});

function structuredCloneText(value: unknown): string {
  return JSON.stringify(structuredClone(value)) ?? '';
}
