import { expect, test } from 'vitest';

test('node is 24', () => {
  expect(process.version).toMatch(/^v24/);
});
