import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { ReasoningPart } from '../domain/neutral-request.ts';
import { type Seal, type SealKind, sealKinds } from '../domain/seal.ts';
import { asObject, asObjects, asString } from './read-json.ts';

/**
 * The one way in which seals pass through clients. A client echoes certain opaque strings unchanged: tool-call ids always,
 * signatures and encrypted content where its protocol has them. A carrier is such a string: the mark, then what is carried,
 * deflated, in base64url, so that it fits wherever an id does. It says who made each seal; whoever writes the next request sends it back
 * there only.
 */
export const carrierMark = '__strata1_';

/** As much of the mark as is whole where a field holds base64: the carrier stands at the start of it. */
export const encodedCarrierMark = Buffer.from(carrierMark, 'latin1').toString('base64').slice(0, 12);

const markBytes = Buffer.from(carrierMark);
const encodedMarkBytes = Buffer.from(encodedCarrierMark);

export interface Carried {
  /** The seal of the very thing the string belongs to. */
  readonly seal?: Seal | undefined;
  /** Reasoning that came before it, for which the client's protocol has no place. */
  readonly reasoning: readonly ReasoningPart[];
}

const nothing: Carried = { reasoning: [] };
/** A longer string would trouble clients. Then the seals are dropped, as on a provider switch. */
const maxCarrierLength = 256 * 1024;
const maxInflatedBytes = 4 * 1024 * 1024;

/** `id` with what it has to carry. Unchanged when there is nothing. */
export function load(id: string, carried: Carried): string {
  if (carried.seal === undefined && carried.reasoning.length === 0) return id;
  const written = {
    ...(carried.seal && { s: writeSeal(carried.seal) }),
    ...(carried.reasoning.length > 0 && {
      r: carried.reasoning.map(({ text, seal }) => ({ t: text, ...(seal && { s: writeSeal(seal) }) })),
    }),
  };
  const packed = `${id}${carrierMark}${deflateRawSync(JSON.stringify(written)).toString('base64url')}`;
  return packed.length <= maxCarrierLength ? packed : id;
}

/**
 * A seal alone, for a field made for seals. Without one the bare mark: reasoning that nobody sealed must not come back to a
 * provider that would look for its own seal there.
 */
export function loadSeal(seal: Seal | undefined): string {
  return load('', { seal, reasoning: [] }) || carrierMark;
}

/** The id as the upstream gave it, and what the string carried. A string that carries nothing is only an id. */
export function unload(text: string): { readonly id: string; readonly carried: Carried } {
  const at = text.lastIndexOf(carrierMark);
  if (at === -1) return { id: text, carried: nothing };
  return { id: text.slice(0, at), carried: readCarried(text.slice(at + carrierMark.length)) };
}

/** What a field made for seals holds: a carrier, or the vendor's own value of the given kind. */
export function unloadSeal(text: string, kind: SealKind): Seal | undefined {
  if (text === '') return undefined;
  if (!text.includes(carrierMark)) return { kind, data: text, origin: undefined };
  return unload(text).carried.seal;
}

/** Whether a request's bytes hold a carrier; then they cannot be passed on as they are. */
export function holdsCarrier(body: Buffer): boolean {
  return body.includes(markBytes) || body.includes(encodedMarkBytes);
}

function readCarried(packed: string): Carried {
  if (packed === '') return nothing;
  let written: unknown;
  try {
    const bytes = inflateRawSync(Buffer.from(packed, 'base64url'), { maxOutputLength: maxInflatedBytes });
    written = JSON.parse(bytes.toString('utf8'));
  } catch {
    return nothing; // cut or changed by the client: what it carried is lost, as on a provider switch
  }
  const object = asObject(written);
  const seal = readSeal(object?.s);
  return {
    ...(seal && { seal }),
    reasoning: asObjects(object?.r).map(({ t, s }): ReasoningPart => {
      const inner = readSeal(s);
      return { type: 'reasoning', text: asString(t) ?? '', ...(inner && { seal: inner }) };
    }),
  };
}

function writeSeal({ kind, data, origin }: Seal): object {
  return { k: sealKinds.indexOf(kind), d: data, ...(origin && { p: origin.provider, m: origin.model }) };
}

function readSeal(value: unknown): Seal | undefined {
  const object = asObject(value);
  const kind = typeof object?.k === 'number' ? sealKinds[object.k] : undefined;
  const data = asString(object?.d);
  if (kind === undefined || data === undefined) return undefined;
  const provider = asString(object?.p);
  const model = asString(object?.m);
  const origin = provider === undefined || model === undefined ? undefined : { provider, model };
  return { kind, data, origin };
}
