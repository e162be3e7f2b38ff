import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { Owner } from '../domain/owner.ts';
import type { ResponseStore, StoredResponse } from '../domain/stored-response.ts';
import { type ItemPlace, placeOfItem } from '../protocols/openai-responses/response-object.ts';
import { asObjects, asString, parseObject } from '../protocols/read-json.ts';

/** A longer history goes on by `previous_response_id`. */
const maxResponses = 500;

/**
 * The request with the items that it only names (`item_reference`), where an answer of the gateway holds them: no upstream has seen them under
 * these ids. Every other reference is the upstream's own.
 *
 * @throws GatewayError not_found (`referenced_item_not_found`).
 */
export async function withReferencedItems(
  responses: ResponseStore,
  owner: Owner,
  body: Buffer,
): Promise<Buffer> {
  if (!body.includes('"item_reference"')) return body;
  const request = parseObject(body);
  if (request === undefined || !Array.isArray(request.input)) return body;
  const places = new Map<JsonObject, ItemPlace>();
  for (const item of asObjects(request.input)) {
    const place = item.type === 'item_reference' ? placeOfItem(asString(item.id) ?? '') : undefined;
    if (place !== undefined) places.set(item, place);
  }
  if (places.size === 0) return body;
  const found = await findAll(responses, owner, new Set([...places.values()].map(each => each.responseId)));
  const input = request.input.map((item: JsonObject) => {
    const place = places.get(item);
    return place === undefined ? item : itemAt(found, place, asString(item.id) ?? '');
  });
  return Buffer.from(JSON.stringify({ ...request, input }));
}

async function findAll(
  responses: ResponseStore,
  owner: Owner,
  ids: ReadonlySet<string>,
): Promise<ReadonlyMap<string, StoredResponse>> {
  if (ids.size > maxResponses) throw tooMany();
  const found = await Promise.all([...ids].map(id => responses.find(owner, id)));
  return new Map(found.flatMap(each => (each === undefined ? [] : [[each.id, each] as const])));
}

function itemAt(found: ReadonlyMap<string, StoredResponse>, place: ItemPlace, id: string): JsonObject {
  const output = found.get(place.responseId)?.response.output;
  const item = asObjects(output).find(each => each.id === id);
  if (item !== undefined) return item;
  throw new GatewayError('not_found', `There is no item '${id.slice(0, 200)}' for this key.`, {
    reason: 'referenced_item_not_found',
    param: 'input',
  });
}

function tooMany(): GatewayError {
  return new GatewayError(
    'invalid_request',
    `The items that are named come from more than ${maxResponses} responses. Send them whole, or use \`previous_response_id\`.`,
    { reason: 'referenced_items_too_many', param: 'input' },
  );
}
