import type { JsonObject } from '../../domain/json-object.ts';
import type { Citation, CitationPlace } from '../../domain/neutral-request.ts';
import { asNumber, asObject, asString } from '../read-json.ts';
import { messagesProtocol } from './decode-request.ts';

interface PlaceNames {
  readonly type: string;
  readonly unit: CitationPlace['unit'];
  readonly index: string;
  readonly start: string;
  readonly end: string;
}

/** How the protocol names the parts of a place, by what it counts. */
const places: readonly PlaceNames[] = [
  {
    type: 'char_location',
    unit: 'characters',
    ...{ index: 'document_index', start: 'start_char_index', end: 'end_char_index' },
  },
  {
    type: 'page_location',
    unit: 'pages',
    ...{ index: 'document_index', start: 'start_page_number', end: 'end_page_number' },
  },
  {
    type: 'content_block_location',
    unit: 'blocks',
    ...{ index: 'document_index', start: 'start_block_index', end: 'end_block_index' },
  },
  {
    type: 'search_result_location',
    unit: 'blocks-of-search-result',
    ...{ index: 'search_result_index', start: 'start_block_index', end: 'end_block_index' },
  },
];

export function readCitation(citation: JsonObject): Citation {
  const names = places.find(({ type }) => type === citation.type);
  return {
    text: asString(citation.cited_text),
    url: asString(citation.url) ?? asString(citation.source),
    title: asString(citation.title) ?? asString(citation.document_title),
    place: names && {
      unit: names.unit,
      index: asNumber(citation[names.index]) ?? 0,
      start: asNumber(citation[names.start]) ?? 0,
      end: asNumber(citation[names.end]) ?? 0,
    },
    raw: { protocol: messagesProtocol, value: citation },
  };
}

/** Undefined for what cites nothing that the protocol can name. */
export function writeCitation({ raw, url, title, text, place }: Citation): JsonObject | undefined {
  if (raw?.protocol === messagesProtocol) return asObject(raw.value);
  const cited = { cited_text: text ?? '' };
  const names = places.find(({ unit }) => unit === place?.unit);
  if (place !== undefined && names !== undefined) {
    const titled =
      place.unit === 'blocks-of-search-result'
        ? { source: url ?? '', title: title ?? null }
        : { document_title: title ?? null, file_id: null };
    const { index, start, end } = place;
    return {
      type: names.type,
      ...cited,
      ...titled,
      ...{ [names.index]: index, [names.start]: start, [names.end]: end },
    };
  }
  if (url === undefined) return undefined;
  return { type: 'web_search_result_location', ...cited, url, title: title ?? null, encrypted_index: '' };
}
