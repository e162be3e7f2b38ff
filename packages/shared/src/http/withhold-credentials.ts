const instead = '***';

/** Takes what was shown to a service out of what it answers: who tells whom it saw must not write a credential into a record or an error. */
export interface Withheld {
  inBytes(bytes: Buffer): Buffer;
  inText(text: string): string;
}

export const nothingWithheld: Withheld = { inBytes: bytes => bytes, inText: text => text };

/**
 * Of headers as they were sent: as a whole and what stands behind the scheme (`Bearer x`, `Token x`), and the password of `Basic` by itself. What is
 * shorter than `shortest` characters, six by default, stands in many texts and is left.
 */
export function withholdCredentials(
  headers: Iterable<string>,
  { shortest = 6 }: { readonly shortest?: number } = {},
): Withheld {
  const shown = [...headers]
    .flatMap(shownBy)
    .filter(text => text.length >= shortest)
    .sort((one, other) => other.length - one.length); // one may be a part of another
  const inText = (text: string) => shown.reduce((rest, each) => rest.replaceAll(each, instead), text);
  return {
    inText,
    inBytes: bytes =>
      shown.some(each => bytes.includes(each, 'latin1'))
        ? Buffer.from(inText(bytes.toString('latin1')), 'latin1')
        : bytes,
  };
}

function shownBy(header: string): string[] {
  const [scheme = '', credentials = ''] = header.split(' ');
  if (/^bearer$/i.test(scheme)) return [credentials];
  if (/^digest$/i.test(scheme)) return []; // good for one request
  if (!/^basic$/i.test(scheme)) return [header, header.slice(header.indexOf(' ') + 1)];
  const pair = Buffer.from(credentials, 'base64').toString('latin1');
  return [credentials, pair.slice(pair.indexOf(':') + 1)];
}
