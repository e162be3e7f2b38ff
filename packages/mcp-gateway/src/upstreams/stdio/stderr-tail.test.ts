import { withholdCredentials } from '@strata/shared/http/withhold-credentials.ts';
import { expect, test } from 'vitest';
import { createStderrTail } from './stderr-tail.ts';

test('[S20] the end of what a server wrote holds no credential, and no part of one that begins before it', () => {
  const credential = 'operators\r\nsecret-of-two-lines';
  for (let before = 0; before < 200; before++) {
    const tail = createStderrTail(60, withholdCredentials([credential]));
    tail.push(Buffer.from('x'.repeat(before)));
    tail.push(Buffer.from(`${credential} is wrong`));
    tail.push(Buffer.from(`${'y'.repeat(before)} so I end`));
    const text = tail.text();
    expect(text).toMatch(/ so I end$/);
    expect(text).not.toMatch(/secret|lines|operators/);
    expect(text.length).toBeLessThanOrEqual(60);
  }
});

test('[S20] what a server says last is told however much of what it said before was withheld', () => {
  const credential = 'abcd1234'.repeat(20).concat('wxyz');
  const tail = createStderrTail(400, withholdCredentials([credential]));
  for (let line = 0; line < 50; line++) tail.push(Buffer.from(`bad token ${credential}\n`));
  tail.push(Buffer.from('FATAL: no way in\n'));
  const text = tail.text();
  expect(text).toMatch(/^bad token \*\*\*\n(?:bad token \*\*\*\n)*FATAL: no way in$/);
  expect(text).not.toContain('1234');
});
