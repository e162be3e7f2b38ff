const shortest = 6;
const instead = '***';

/** Takes what was shown to a service out of what it answers: a service that tells whom it saw must not write a secret into the run's history. */
export interface Withheld {
  inBytes(bytes: Buffer): Buffer;
  inText(text: string): string;
}

/** `authorization` as it was sent: the token, or the name and password as they stand there and by themselves. What is shorter than six characters stands in many texts and is left. */
export function withholdCredentials(authorization: string | undefined): Withheld {
  const shown = shownBy(authorization).filter(text => text.length >= shortest);
  const inText = (text: string) => shown.reduce((rest, each) => rest.replaceAll(each, instead), text);
  return {
    inText,
    inBytes: bytes =>
      shown.some(each => bytes.includes(each))
        ? Buffer.from(inText(bytes.toString('latin1')), 'latin1')
        : bytes,
  };
}

function shownBy(authorization = ''): string[] {
  const [scheme = '', credentials = ''] = authorization.split(' ');
  if (/^bearer$/i.test(scheme)) return [credentials];
  if (!/^basic$/i.test(scheme)) return []; // a digest is good for one request
  const pair = Buffer.from(credentials, 'base64').toString('latin1');
  return [credentials, pair.slice(pair.indexOf(':') + 1)];
}
