import { systemClock } from '@strata/shared/clock.ts';
import { afterAll, expect, test } from 'vitest';
import { createJqExpressions } from '../src/expressions/jq-expressions.ts';

/** What of jq a definition can count on: dates, text, numbers, paths, control, errors; and what is not there to be asked. */

const expressions = createJqExpressions({
  clock: systemClock,
  threads: 1,
  timeoutMs: 2000,
  maxMemoryBytes: 1 << 26,
  maxOutputBytes: 1 << 20,
  maxQueue: 100,
});
afterAll(() => expressions.close());

const evaluate = (source: string, data: unknown = null) =>
  expressions.evaluate(source, { data, variables: {} });

test.each<[source: string, data: unknown, result: unknown]>([
  // Several results are a list, none is null.
  ['1, 2', null, [1, 2]],
  ['empty', null, null],
  // Dates, in UTC
  ['"2015-03-05T23:51:47Z" | fromdate', null, 1_425_599_507],
  ['1425599621 | todate', null, '2015-03-05T23:53:41Z'],
  ['1425599621 | strftime("%A, %B %d, %Y")', null, 'Thursday, March 05, 2015'],
  ['1425599621 | gmtime | mktime', null, 1_425_599_621],
  // Text is code points
  ['[length, utf8bytelength]', 'aé😀', [3, 7]],
  ['explode | implode', 'aé😀', 'aé😀'],
  ['[match("x").offset, (test("É"; "i"))]', 'é😀x', [2, true]],
  ['[match("(?<y>\\\\d{4})-(?<m>\\\\d\\\\d)").captures[].string]', 'in 2024-05', ['2024', '05']],
  ['gsub("(?<v>[ae])"; "<\\(.v)>")', 'axe', '<a>x<e>'],
  ['[splits(", *")]', 'a, b,c', ['a', 'b', 'c']],
  ['ascii_upcase', 'é b', 'é B'],
  // Formats
  ['@base64d', 'aMOp', 'hé'],
  ['[@uri, @html]', 'a b/<&>', ['a%20b%2F%3C%26%3E', 'a b/&lt;&amp;&gt;']],
  ['@sh', "it's", "'it'\\''s'"],
  ['@csv', [1, 'a"b', null], '1,"a""b",'],
  ['@base64 "x=\\(.)"', 'hi', 'x=aGk='],
  // Numbers are doubles
  ['9007199254740993', null, 9_007_199_254_740_992],
  ['0.1 + 0.2', null, 0.300_000_000_000_000_04],
  ['nan < nan', null, true],
  ['[5 % -2, -5 % 2]', null, [1, -1]],
  // Paths and assignments
  ['getpath(["a", 1, "b"])', { a: [0, { b: 7 }] }, 7],
  ['[paths]', { a: { b: 1 } }, [['a'], ['a', 'b']]],
  ['del(.[0, 2]) | .[-1:]', [1, 2, 3], [2]],
  ['.a += 1 | .b //= 3', { a: 1 }, { a: 2, b: 3 }],
  ['pick(.a.b)', { a: { b: 1, c: 2 } }, { a: { b: 1 } }],
  // Control
  ['[limit(3; range(10))]', null, [0, 1, 2]],
  ['first(range(5; 0; -1))', null, 5],
  ['label $out | 1, break $out, 2', null, 1],
  ['[foreach range(4) as $i (0; . + $i)]', null, [0, 1, 3, 6]],
  ['def f: if . > 10 then . else . + 1 | f end; f', 1, 11],
  ['. as [$a] ?// $a | $a', [1], 1],
  ['try error({ a: 1 }) catch .a', null, 1],
  ['$__loc__.line', null, 1],
  // Nothing of the gateway is there to be asked, and nothing ends it.
  ['[$ENV, env] | map(keys - ["USER", "LOGNAME", "PATH", "PWD", "HOME", "LANG", "_"]) | add', null, []],
  ['halt', null, null],
])('%s of %j', async (source, data, result) => {
  expect(await evaluate(source, data)).toEqual(result);
});

test.each([
  ['error("x")', 'x'],
  ['"why" | halt_error', 'why'],
  ['.a.b', 'Cannot index'],
  ['input', 'break'],
  ['"!!" | @base64d', 'not valid base64'],
  ['1 as $zero | 1 / ($zero - 1)', 'divisor is zero'],
])('%s fails with what jq says', async (source, message) => {
  const failed = await evaluate(source, { a: 1 }).catch((error: unknown) => error);
  expect(failed).toMatchObject({ reason: 'expression_failed', message: expect.stringContaining(message) });
});

test.each(['trim', 'toarray', 'ltrimstr', '$__prog_args', 'import "a" as a; .', '@nothing "x', '1 +'])(
  '%s is refused before it runs',
  async source => {
    expect(await expressions.check(source)).toMatch(/^Not valid jq: /);
  },
);
