import type { JsonObject } from './json-object.ts';
import type { Losses } from './losses.ts';

/** How a vendor's form of a protocol differs from it, as data. */
export interface Quirks {
  /** Top-level parameters by the name that the vendor has for them. */
  readonly renames: Readonly<Record<string, string>>;
  /** Top-level parameters that the vendor refuses. */
  readonly refuses: readonly string[];
}

/** A written request as the vendor takes it. What has to be left out is told. */
export function applyQuirks(body: JsonObject, quirks: Quirks | undefined, losses: Losses): JsonObject {
  if (quirks === undefined) return body;
  const refused = quirks.refuses.filter(name => body[name] !== undefined);
  for (const name of refused) losses.dropped(name);
  const kept = Object.entries(body).filter(([name]) => !refused.includes(name));
  return Object.fromEntries(
    kept.map(([name, value]) => [Object.hasOwn(quirks.renames, name) ? quirks.renames[name] : name, value]),
  );
}
