import { nearestName } from '@strata/shared/config/problem.ts';
import * as z from 'zod';

/** As much of the section as the check of references reads; what is malformed is reported by its own schema. */
const references = z.object({
  files_provider: z.string().optional().catch(undefined),
  providers: z.record(z.string(), z.unknown()).catch({}),
  models: z
    .record(
      z.string(),
      z
        .object({ targets: z.array(z.object({ provider: z.string() }).catch({ provider: '' })).catch([]) })
        .catch({ targets: [] }),
    )
    .catch({}),
});

/** Names of providers that are not there. */
export function danglingTargets(value: unknown): { path: (string | number)[]; message: string }[] {
  const { providers, models, files_provider: filesProvider } = references.parse(value);
  const known = Object.keys(providers);
  const files = filesProvider === undefined ? [] : dangling(filesProvider, ['files_provider'], known);
  const targets = Object.entries(models).flatMap(([alias, { targets }]) =>
    targets.flatMap(({ provider }, index) => {
      if (provider === '') return [];
      return dangling(provider, ['models', alias, 'targets', index, 'provider'], known);
    }),
  );
  return [...files, ...targets];
}

function dangling(provider: string, path: (string | number)[], known: readonly string[]) {
  if (known.includes(provider)) return [];
  const near = nearestName(provider, known);
  const hint = near === undefined ? `known: ${known.join(', ') || 'none'}` : `did you mean '${near}'?`;
  return [{ path, message: `there is no provider of this name; ${hint}` }];
}
