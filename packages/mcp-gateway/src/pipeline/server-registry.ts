import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { findLookalikes, serverNamePattern } from '../domain/names.ts';
import {
  definitionInvalid,
  type RecordChange,
  type ServerState,
  type ServerStore,
  type StoredServer,
} from '../domain/registered-server.ts';
import type { Upstream } from '../domain/upstream.ts';
import { Draining } from './draining.ts';
import type { Health, ServerHealth } from './server-health.ts';

/** Servers as the directory takes them. */
export interface EffectiveServers {
  readonly configs: Readonly<Record<string, object>>;
  /** Kept open for the calls that run, and not offered any more. */
  readonly hidden: ReadonlySet<string>;
}

/** A server as an admin sees it. Secrets in `config` write themselves as `[secret]`. */
export interface ServerView {
  readonly name: string;
  readonly source: 'config' | 'admin';
  readonly state: ServerState;
  readonly revision: number;
  readonly config: object;
  readonly health: Health | undefined;
}

export interface ServerRegistryOptions {
  readonly store: ServerStore;
  readonly hot: Hot;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: ServerHealth;
  readonly configured: () => Readonly<Record<string, object>>;
  /** Reads a definition as the configuration file would hold it. @throws GatewayError invalid_request (`server_definition_invalid`) */
  readonly parse: (config: unknown) => object;
  readonly openServers: () => readonly Upstream[];
  /** Takes over what is in force now. */
  readonly apply: (servers: EffectiveServers) => void;
  readonly drainMs: () => number;
}

const channel = 'mcp:servers';
const maxNameLength = 32;

/**
 * Which servers there are: those of the configuration, and those an admin registered; and what the operator wants of each. Changes are
 * stored first, then take force here, then on every other replica (M23: nothing else makes a server known).
 */
export class ServerRegistry {
  readonly #options: ServerRegistryOptions;
  readonly #draining: Draining;
  #stored: readonly StoredServer[] = [];
  #unsubscribe: (() => Promise<void>) | undefined;

  constructor(options: ServerRegistryOptions) {
    this.#options = options;
    this.#draining = new Draining({
      ...options,
      find: name => this.#upstream(name),
      onFinished: name => void this.#finishDraining(name),
    });
  }

  async start(): Promise<void> {
    const { hot } = this.#options;
    const reload = () => {
      this.reload().catch((error: unknown) => {
        this.#options.log.error({ err: error }, 'registered servers could not be read');
      });
    };
    this.#unsubscribe = await hot.subscribe(channel, reload, { onGap: reload });
    await this.reload();
  }

  async close(): Promise<void> {
    await this.#unsubscribe?.();
  }

  /** Reads the store again and puts it in force. */
  async reload(): Promise<void> {
    this.#stored = await this.#options.store.list();
    const drained = this.#stored.filter(({ state }) => state === 'draining' || state === 'drained');
    this.#draining.follow(drained);
    this.#options.apply(this.effective());
  }

  effective(): EffectiveServers {
    const isOpen = ({ name, state }: ServerView) =>
      state !== 'disabled' || (this.#storedAs(name)?.state === 'drained' && this.#draining.isBusy(name));
    const views = this.list().filter(isOpen);
    const hidden = views.filter(({ state }) => state !== 'enabled').map(({ name }) => name);
    return {
      configs: Object.fromEntries(views.map(({ name, config }) => [name, config])),
      hidden: new Set(hidden),
    };
  }

  list(): ServerView[] {
    const configured = Object.entries(this.#options.configured()).map(([name, config]) =>
      this.#view(name, config, 'config'),
    );
    const registered = this.#stored.flatMap(({ name, config }) => {
      if (config === undefined || Object.hasOwn(this.#options.configured(), name)) return [];
      try {
        return [this.#view(name, this.#options.parse(config), 'admin')];
      } catch (error) {
        this.#options.log.error({ server: name, err: error }, 'a registered server cannot be used any more');
        return [];
      }
    });
    return [...configured, ...registered];
  }

  /** @throws GatewayError not_found (`unknown_server`) */
  get(name: string): ServerView {
    const view = this.list().find(each => each.name === name);
    if (view) return view;
    throw new GatewayError('not_found', `There is no server '${name.slice(0, 100)}'.`, {
      reason: 'unknown_server',
    });
  }

  /** Registers a server, or replaces what was registered under the name. @throws GatewayError invalid_request, conflict */
  async put(name: string, config: unknown, record: RecordChange): Promise<ServerView> {
    this.#checkName(name);
    this.#options.parse(config);
    const state = this.#storedAs(name)?.state ?? 'enabled';
    await this.#options.store.put({ name, config, state }, record);
    await this.#changed();
    return this.get(name);
  }

  /** @throws GatewayError not_found (`unknown_server`), conflict (`server_in_config`) */
  async remove(name: string, record: RecordChange): Promise<void> {
    if (this.get(name).source === 'config') throw inConfig(name);
    await this.#options.store.remove(name, record);
    await this.#changed();
  }

  /**
   * A draining server keeps what runs, is offered no more, and is disabled when nothing runs or its time is over: at each replica, whichever
   * was told to drain it.
   */
  async setState(name: string, state: ServerState, record: RecordChange): Promise<ServerView> {
    this.get(name);
    await this.#options.store.put({ name, config: this.#storedAs(name)?.config, state }, record);
    await this.#changed();
    return this.get(name);
  }

  /** Asks the server now. */
  async check(name: string): Promise<Health | undefined> {
    this.get(name);
    const upstream = this.#upstream(name);
    return upstream && this.#options.health.check(upstream);
  }

  /** The first replica that is done says so for all; the others keep what still runs on them. */
  async #finishDraining(name: string): Promise<void> {
    const { store, apply, log } = this.#options;
    try {
      const isFirst = this.#storedAs(name)?.state === 'draining' && (await store.finishDraining(name));
      if (isFirst) await this.#changed();
      else apply(this.effective());
    } catch (error) {
      log.error({ server: name, err: error }, 'a drained server was not disabled');
    }
  }

  async #changed(): Promise<void> {
    await this.reload();
    await this.#options.hot.publish(channel, '').catch(() => {}); // others read it when the store is back
  }

  #view(name: string, config: object, source: ServerView['source']): ServerView {
    const stored = this.#storedAs(name);
    const upstream = this.#upstream(name);
    return {
      name,
      source,
      state: stored?.state === 'drained' ? 'disabled' : (stored?.state ?? 'enabled'),
      revision: stored?.revision ?? 0,
      config,
      health: upstream && this.#options.health.of(upstream),
    };
  }

  #storedAs(name: string): StoredServer | undefined {
    return this.#stored.find(each => each.name === name);
  }

  #upstream(name: string): Upstream | undefined {
    return this.#options.openServers().find(each => each.name === name);
  }

  #checkName(name: string): void {
    const configured = Object.keys(this.#options.configured());
    if (configured.includes(name)) throw inConfig(name);
    if (name.length > maxNameLength || !serverNamePattern.test(name)) {
      throw definitionInvalid(
        'the name takes letters, digits and single `-` or `_` between them, at most 32',
      );
    }
    const others = [...configured, ...this.#stored.map(each => each.name).filter(each => each !== name)];
    const pair = findLookalikes([...others, name]);
    if (pair) throw definitionInvalid(`'${pair[1]}' looks too much like '${pair[0]}'`);
  }
}

function inConfig(name: string): GatewayError {
  return new GatewayError('conflict', `The configuration file holds the server '${name}'. Change it there.`, {
    reason: 'server_in_config',
  });
}
