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
