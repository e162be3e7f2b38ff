import type { Attempt } from '../domain/call.ts';
import type { Protocol } from '../domain/protocol.ts';
import type { ModelProvider } from '../domain/provider.ts';
import { holdsCarrier } from '../protocols/carrier.ts';
import { translatedWay } from './translated-way.ts';
import { rawWay, type Way } from './way.ts';

export type Protocols = ReadonlyMap<string, Protocol>;

/**
 * The client's own protocol where the target speaks it: its bytes pass. A request that carries another provider's seals is read and
 * written again even then, because no provider would take those. Every other target is spoken to in the first of its
 * protocols that can be translated.
 */
export function chooseWay(attempt: Attempt, protocols: Protocols, nowMs: number): Way {
  const { call, target } = attempt;
  const { speaks } = target.provider;
  const same = speaks.get(call.protocol.name);
  if (same !== undefined) {
    const mustTranslate = call.protocol.codec !== undefined && holdsCarrier(call.request.body);
    if (!mustTranslate) return rawWay(attempt, same);
    return translatedWay(attempt, { protocol: call.protocol, access: same, nowMs });
  }
  const other = translatable(target.provider, protocols);
  if (other === undefined) throw new Error(`${target.id} cannot be reached from ${call.protocol.name}`);
  return translatedWay(attempt, { ...other, nowMs });
}

function translatable(provider: ModelProvider, protocols: Protocols) {
  for (const [name, access] of provider.speaks) {
    const protocol = protocols.get(name);
    if (protocol?.codec !== undefined) return { protocol, access };
  }
  return undefined;
}

/** Whether a request of one protocol can be answered by a provider at all. */
export function canReach(protocol: Protocol, provider: ModelProvider, protocols: Protocols): boolean {
  if (provider.speaks.has(protocol.name)) return true;
  return protocol.codec !== undefined && translatable(provider, protocols) !== undefined;
}
