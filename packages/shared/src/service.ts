import { resolve } from 'node:path';
import type * as z from 'zod';
import { systemClock } from './clock.ts';
import { type ConfigSource, FileConfig, type ReloadOutcome, selectConfig } from './config/config-source.ts';
import { ConfigError } from './config/problem.ts';
import { rootSchema, type SharedConfig } from './config/root-schema.ts';
import { type GatewayApp, type GatewayDeps, openGatewayDeps } from './gateway-deps.ts';
import type { GatewayName } from './identity/envelope.ts';
import type { Telemetry } from './telemetry/telemetry.ts';
import { withholdDumps } from './withhold-dumps.ts';

export interface ServiceDefinition<Section extends z.ZodType> {
  readonly name: GatewayName;
  /** The section of this gateway in `strata.yaml`. */
  readonly section: 'ai_gateway' | 'mcp_gateway' | 'agent_gateway';
  readonly schema: Section;
  create(config: ConfigSource<z.output<Section>>, deps: GatewayDeps): Promise<GatewayApp>;
}

/** Node cuts small buffers out of pieces of 64 KiB: one that outlives its neighbours, as the request of a long stream does, holds all of its piece (F44). */
const bufferPoolBytes = 8 * 1024;

/** Told to a parent process that started this one with an IPC channel. */
export type ServiceMessage = { readonly type: 'ready'; readonly name: GatewayName; readonly url: string };

/**
 * The life of a gateway process: read the configuration, open, serve, reload on SIGHUP, drain on SIGTERM or SIGINT, end
 * with 0. A bad configuration ends it with 2 and says every mistake; anything unforeseen ends it with 1.
 */
export async function runService<Section extends z.ZodType>(
  definition: ServiceDefinition<Section>,
): Promise<void> {
  Buffer.poolSize = bufferPoolBytes;
  const dumpProblem = withholdDumps();
  const path = process.env.STRATA_CONFIG ?? 'strata.yaml';
  let telemetry: Telemetry | undefined;
  const config = openConfig(definition, path, outcome => logReload(telemetry, outcome));
  const deps = await openGatewayDeps({
    name: definition.name,
    config: config.current.shared,
    clock: systemClock,
  });
  telemetry = deps.telemetry;
  if (dumpProblem !== undefined)
    telemetry.log.warn({ problem: dumpProblem }, 'a core dump of this process would show what it holds');
  const app = await definition.create(
    selectConfig(config, current => current.section),
    deps,
  );
  app.server.app.get('/.well-known/jwks.json', { config: { access: 'public' } }, () =>
    deps.envelopeKeys.jwks(),
  );
  const { url } = await app.server.start();
  config.file.watch();
  // Before it is said that the service is there: whoever starts it may stop it at once.
  const stopping = stopRequested(() => config.file.reload());
  telemetry.log.info({ url, config: resolve(path) }, 'ready');
  process.send?.({ type: 'ready', name: definition.name, url } satisfies ServiceMessage);

  await stopping;
  telemetry.log.info('draining');
  config.file.close();
  await app.server.drain();
  await app.close();
  await deps.close();
  process.exit(0);
}

/** Starts the service and turns what goes wrong before it is up into a readable line and an exit code. */
export function startService<Section extends z.ZodType>(definition: ServiceDefinition<Section>): void {
  runService(definition).catch((error: unknown) => {
    const isConfig = error instanceof ConfigError;
    const text = isConfig ? error.message : `${definition.name} could not start: ${describe(error)}`;
    process.stderr.write(`${text}\n`);
    process.exit(isConfig ? 2 : 1);
  });
}

interface OpenedConfig<Section> extends ConfigSource<{ shared: SharedConfig; section: Section }> {
  readonly file: { reload(): ReloadOutcome; watch(): void; close(): void };
}

function openConfig<Section extends z.ZodType>(
  definition: ServiceDefinition<Section>,
  path: string,
  onReload: (outcome: ReloadOutcome) => void,
): OpenedConfig<z.output<Section>> {
  const schema = rootSchema({ [definition.section]: definition.schema });
  const file = new FileConfig({ schema, path, env: process.env, clock: systemClock, onReload });
  // The schema was built from this very section, which TypeScript cannot follow through the computed key.
  const source = selectConfig(file, whole => ({
    shared: whole as SharedConfig,
    section: whole[definition.section] as z.output<Section>,
  }));
  return {
    get current() {
      return source.current;
    },
    onChange: source.onChange,
    file,
  };
}

function logReload(telemetry: Telemetry | undefined, outcome: ReloadOutcome): void {
  if (outcome.type === 'reloaded') telemetry?.log.info('configuration reloaded');
  else
    telemetry?.log.error(
      { problems: outcome.error.problems },
      'configuration refused, the old one stays in force',
    );
}

/** Resolves at the first SIGTERM or SIGINT, or when the parent process is gone. A second signal ends at once. */
function stopRequested(reload: () => void): Promise<void> {
  process.on('SIGHUP', reload);
  return new Promise(resolveStop => {
    let stopping = false;
    const stop = () => {
      if (stopping) process.exit(130);
      stopping = true;
      resolveStop();
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    process.on('disconnect', stop);
  });
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
