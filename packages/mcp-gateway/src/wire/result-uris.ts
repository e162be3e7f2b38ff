import type { ResponseFrame, ScannedValue, Span } from '../domain/frame.ts';
import { scanElements, scanWithin } from './json-scanner.ts';
import { stringAt } from './json-text.ts';
import type { Edit } from './splice.ts';

const limits = { maxDepth: 128, maxNodes: 5_000_000 };
const contentShape = { resource: {} };

/**
 * The resource URIs in an answer, where the protocol puts them: links and embedded resources in the content of a tool's
 * result or a prompt's messages, and the contents of a read resource. A `uri` anywhere else is the tool's own data and is
 * left alone.
 */
export function resultUriEdits(frame: ResponseFrame, exposeUri: (uri: string) => string): Edit[] {
  const { bytes, result } = frame;
  if (!result?.members || !bytes.includes('"uri"')) return [];
  const spans: Span[] = [];
  const add = (span: ScannedValue | undefined) => {
    if (span) spans.push(span);
  };
  for (const block of elementsOf(bytes, result.members.get('content'))) addContent(block, add);
  for (const content of elementsOf(bytes, result.members.get('contents'))) add(content.members?.get('uri'));
  for (const message of elementsOf(bytes, result.members.get('messages'))) {
    const content = message.members?.get('content');
    if (content) addContent(scanWithin(bytes, content, contentShape, limits), add);
  }
  return spans.flatMap(span => {
    const uri = stringAt(bytes, span);
    const exposed = uri === undefined ? undefined : exposeUri(uri);
    return exposed === undefined || exposed === uri
      ? []
      : [{ start: span.start, end: span.end, text: JSON.stringify(exposed) }];
  });
}

function elementsOf(bytes: Buffer, array: Span | undefined): ScannedValue[] {
  return array ? scanElements(bytes, array, contentShape, limits) : [];
}

function addContent(block: ScannedValue, add: (span: ScannedValue | undefined) => void): void {
  add(block.members?.get('uri'));
  add(block.members?.get('resource')?.members?.get('uri'));
}
