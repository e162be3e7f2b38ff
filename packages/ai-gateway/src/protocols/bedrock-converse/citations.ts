import type { JsonObject } from '../../domain/json-object.ts';
import type { Citation, CitationPlace } from '../../domain/neutral-request.ts';
import { asNumber, asObject, asObjects, asString } from '../read-json.ts';
import { converseProtocol } from './decode-request.ts';

/** Members of a location, by what they count. */
const places: Readonly<Record<CitationPlace['unit'], { readonly member: string; readonly index: string }>> = {
  characters: { member: 'documentChar', index: 'documentIndex' },
  pages: { member: 'documentPage', index: 'documentIndex' },
  blocks: { member: 'documentChunk', index: 'documentIndex' },
  'blocks-of-search-result': { member: 'searchResultLocation', index: 'searchResultIndex' },
};

export function readCitation(citation: JsonObject): Citation {
  const location = asObject(citation.location);
  const texts = asObjects(citation.sourceContent).flatMap(({ text }) => asString(text) ?? []);
  return {
    title: asString(citation.title),
    url: asString(asObject(location?.web)?.url) ?? asString(citation.source),
    text: texts.length === 0 ? undefined : texts.join(''),
    place: placeIn(location),
    raw: { protocol: converseProtocol, value: citation },
  };
}

function placeIn(location: JsonObject | undefined): CitationPlace | undefined {
  for (const [unit, { member, index }] of Object.entries(places)) {
    const place = asObject(location?.[member]);
    if (place === undefined) continue;
    return {
      unit: unit as CitationPlace['unit'], // a key of the table
      index: asNumber(place[index]) ?? 0,
      start: asNumber(place.start) ?? 0,
      end: asNumber(place.end) ?? 0,
    };
  }
  return undefined;
}

/** Undefined for what cites nothing that the protocol can name. */
export function writeCitation({ raw, url, title, text, place }: Citation): JsonObject | undefined {
  if (raw?.protocol === converseProtocol) return asObject(raw.value);
  const location = place === undefined ? url && { web: { url } } : writePlace(place);
  if (!location) return undefined;
  return {
    title,
    source: place?.unit === 'blocks-of-search-result' ? url : undefined,
    sourceContent: text === undefined ? undefined : [{ text }],
    location,
  };
}

function writePlace({ unit, index, start, end }: CitationPlace): JsonObject {
  const names = places[unit];
  return { [names.member]: { [names.index]: index, start, end } };
}
