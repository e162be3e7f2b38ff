import type { Attempt } from '../domain/call.ts';
import type { Protocol } from '../domain/protocol.ts';
import type { ModelProvider, ProtocolAccess } from '../domain/provider.ts';
import { holdsCarrier } from '../protocols/carrier.ts';
import { needsAdapting, translatedWay } from './translated-way.ts';
import { rawWay, type Way } from './way.ts';

export type Protocols = ReadonlyMap<string, Protocol>;

/**
 * The client's own protocol where the target speaks it: its bytes pass. A request that carries another provider's seals is read and
 * written again even then, because no provider would take those.
 */
export function chooseWay(attempt: Attempt, protocols: Protocols, nowMs: number): Way {
  const { call, target } = attempt;
  const { speaks } = target.provider;
  const same = speaks.get(call.protocol.name);
  const inOwn = (access: ProtocolAccess) =>
    translatedWay(attempt, { protocol: call.protocol, access, nowMs });
  const options = (access: ProtocolAccess) => ({
    tellAsStream: (body: Buffer) => inOwn(access).readWhole(body, {}),
  });
  if (same !== undefined)
    return mustTranslate(attempt, same) ? inOwn(same) : rawWay(attempt, same, options(same));
  for (const [name, access] of speaks) {
    const hosted = protocols.get(name);
    if (hosted?.hosts === call.protocol.name && !mustTranslate(attempt, access)) {
      return rawWay(attempt, access, { ...options(access), hosted });
    }
  }
  return leastLoss(attempt, protocols, nowMs);
}

/** Seals of another provider, and what this one has no word for, have to be said in another way. */
function mustTranslate({ call }: Attempt, access: ProtocolAccess): boolean {
  if (call.protocol.codec === undefined) return false;
  return holdsCarrier(call.request.body) || needsAdapting(call, access.lacks);
}

/** Of the protocols that the target speaks, the one in which the least is lost; of equals, the first. */
function leastLoss(attempt: Attempt, protocols: Protocols, nowMs: number): Way {
  let best: Way | undefined;
  for (const [name, access] of attempt.target.provider.speaks) {
    const protocol = protocols.get(name);
    if (protocol?.codec === undefined) continue;
    const way = translatedWay(attempt, { protocol, access, nowMs });
    if (way.losses.length === 0) return way;
    if (best === undefined || way.losses.length < best.losses.length) best = way;
  }
  if (best !== undefined) return best;
  throw new Error(`${attempt.target.id} cannot be reached from ${attempt.call.protocol.name}`);
}

/** Whether a request of one protocol can be answered by a provider at all. */
export function canReach(protocol: Protocol, provider: ModelProvider, protocols: Protocols): boolean {
  if (provider.speaks.has(protocol.name)) return true;
  if (protocol.codec === undefined) return false;
  return provider.speaks.keys().some(name => protocols.get(name)?.codec !== undefined);
}
