import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { expect, test } from 'vitest';
import { FormScanner } from './form-scanner.ts';

const type = 'multipart/form-data; boundary=cut';
/** What looks like a delimiter and is none, at every place. */
const file = Buffer.from(`${'\r\n--cu\r'.repeat(3)}x--cut\r\n\r\n--\0\xff\r`, 'latin1');
const form = Buffer.concat([
  Buffer.from('a preamble\r\n--cut\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'),
  file,
  Buffer.from('\r\n--cut\r\nContent-Disposition: form-data; name="model"\r\n\r\nscribe'),
  Buffer.from(
    '\r\n--cut\r\ncontent-disposition: form-data; name=empty; filename=b\r\n\r\n\r\n--cut--\r\nafter',
  ),
]);

function scan(chunks: readonly Buffer[]) {
  const scanner = new FormScanner(type);
  const files = Buffer.concat(chunks.flatMap(chunk => scanner.push(chunk)));
  const { text, fields, fileBytes } = scanner.end();
  const values = fields.map(({ name, value, file: { start, end } }) => [
    name,
    text.toString('latin1', value.start, value.end),
    files.subarray(start, end).toString('latin1'),
  ]);
  return { values, text: text.toString('latin1'), fileBytes };
}

const whole = scan([form]);

test('a form has its fields, its files, and all other bytes as they came', () => {
  expect(whole.values).toEqual([
    ['file', '', file.toString('latin1')],
    ['model', 'scribe', ''],
    ['empty', '', ''],
  ]);
  expect(whole.fileBytes).toBe(file.length);
  const at = form.indexOf(file);
  const rest = Buffer.concat([form.subarray(0, at), form.subarray(at + file.length)]);
  expect(whole.text).toBe(rest.toString('latin1'));
});

test('however it is cut, it reads the same', () => {
  for (let at = 0; at <= form.length; at++) {
    expect(scan([form.subarray(0, at), form.subarray(at)])).toEqual(whole);
  }
  expect(scan([...form].map(byte => Buffer.from([byte])))).toEqual(whole);
  const seed = Date.now() % 1_000_000;
  const random = seededRandom(seed);
  for (let run = 0; run < 200; run++) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < form.length; ) {
      const end = at + 1 + Math.floor(random() * 20);
      chunks.push(form.subarray(at, end));
      at = end;
    }
    expect(scan(chunks), `seed ${seed}`).toEqual(whole);
  }
});

test.each<[string, Buffer]>([
  ['that ends early', form.subarray(0, form.length - 12)],
  ['without a first part', Buffer.alloc(20_000, 'x')],
  ['whose headers do not end', Buffer.from(`--cut\r\n${'x'.repeat(20_000)}`)],
  ['with something behind a boundary', Buffer.from('--cutx\r\n')],
  [
    'with two names',
    Buffer.from('--cut\r\ncontent-disposition: form-data; name=a; name=b\r\n\r\n\r\n--cut--'),
  ],
  [
    'with a boundary in its preamble',
    Buffer.from(
      'x--cut\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--cut\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--cut--',
    ),
  ],
  ...['\r\n', '\n', '\r'].map((end): [string, Buffer] => [
    `with a boundary behind ${JSON.stringify(end)} that some take for one`,
    Buffer.concat([
      form.subarray(0, form.indexOf(file)),
      Buffer.from(`${end === '\r\n' ? '' : `sound${end}`}--cut${end}`),
      form.subarray(form.indexOf(file)),
    ]),
  ]),
  [
    'with half a line end in the head of a part',
    Buffer.from(
      '--cut\r\nX: y\ncontent-disposition: form-data; name=model\r\ncontent-disposition: form-data; name=a\r\n\r\n\r\n--cut--',
    ),
  ],
  [
    'with a boundary in the head of a part',
    Buffer.from('--cut\r\nX: y\r\n--cut\r\ncontent-disposition: form-data; name=a\r\n\r\n\r\n--cut--'),
  ],
  [
    'whose texts are too large',
    Buffer.concat([form.subarray(0, form.indexOf('scribe')), Buffer.alloc(5_000_000)]),
  ],
])('a form %s is refused', (_name, bytes) => {
  expect(() => scan([bytes])).toThrow(/form cannot be read/);
});

test.each([
  'multipart/form-data; boundary=cut; boundary=other',
  'multipart/form-data; x="; boundary=cut"; boundary=other',
  "multipart/form-data; boundary=cut; boundary*=utf-8''other",
  'multipart/form-data; boundary*0=ot; boundary*1=her; boundary=cut',
])('the content type %s, whose boundary is read in two ways, is refused', contentType => {
  expect(() => new FormScanner(contentType)).toThrow(/boundary/);
});
