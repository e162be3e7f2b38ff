import { expect, test } from 'vitest';
import { formOf } from './item-form.ts';

test('[M24] a number beyond those of a double is none, wherever in a tool it stands', () => {
  const plain =
    '{"name":"a","inputSchema":{"type":"object","properties":{"b":{"anyOf":[{"maximum":1e40}]}}}}';
  expect(formOf('tools', plain)).toMatchObject({ isWhole: true });
  expect(formOf('tools', plain.replace('1e40', '1e400'))).toMatchObject({ isWhole: false });
  const output =
    '{"name":"a","inputSchema":{"type":"object"},"outputSchema":{"type":"object","default":[-1e400]}}';
  expect(formOf('tools', output)).toMatchObject({ isWhole: true, unfit: new Set(['outputSchema']) });
});
