import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import { type CatalogEntry, type ListKind, type MergedCatalog, scopedName } from '../domain/catalog.ts';
import { candidateServers, mayUseServer } from '../domain/names.ts';
import type { Upstream } from '../domain/upstream.ts';
import type { UpstreamDirectory } from '../domain/upstream-directory.ts';
import { createUriRoutes, type UriRoutes } from '../domain/uri-routes.ts';
import { isSchemeAllowed } from '../domain/uri-schemes.ts';
import type { ListedItem } from '../wire/list-items.ts';
import { type CatalogView, isSameView, type MissingServer } from './catalog-view.ts';
import type { ChannelLists } from './channel-lists.ts';
import type { JoinedLists, LoadedPart } from './joined-lists.ts';
import type { ServerFacts } from './server-facts.ts';

export interface SessionCatalogOptions {
  readonly directory: UpstreamDirectory;
  readonly joined: JoinedLists;
  readonly listsOf: (upstream: Upstream) => ChannelLists;
  readonly facts: ServerFacts;
}

/** What a name led to, and by what: the globs of the key, the servers, and their lists. */
interface Resolved {
  readonly entry: CatalogEntry<ListedItem>;
  readonly patterns: readonly string[];
  readonly servers: readonly Upstream[];
  readonly parts: readonly LoadedPart[];
}

/** Names of one session that are remembered; it calls few of those it was shown. */
const maxResolved = 256;

/**
 * All servers' lists as one session sees them, and the way back from a name or URI to its server. Whoever asks gives the
 * globs of its key: what they do not match is not in any answer, and asking for it is the same as asking for nothing.
 */
export class SessionCatalog {
  readonly #options: SessionCatalogOptions;
  readonly #shown = new Map<ListKind, { readonly patterns: readonly string[]; readonly view: CatalogView }>();
  readonly #resolved = { tools: new Map<string, Resolved>(), prompts: new Map<string, Resolved>() };
  #routes: UriRoutes | undefined;
  /** The globs of the key that asked last. */
  #lastPatterns: readonly string[] = [];
  readonly #uris = new Map<string, { parts: readonly LoadedPart[]; merged: MergedCatalog<ListedItem> }>();

  constructor(options: SessionCatalogOptions) {
    this.#options = options;
  }

  /** Made when it is first needed: most sessions wait most of the time, and many never look at a resource. */
  get routes(): UriRoutes {
    const { directory, facts } = this.#options;
    this.#routes ??= createUriRoutes({
      servers: () => directory.list().map(upstream => upstream.name),
      hasResources: server => facts.mayHaveResources(directory.get(server)),
    });
    return this.#routes;
  }

  async view(kind: ListKind, patterns: readonly string[], signal: StopSignal): Promise<CatalogView> {
    this.#lastPatterns = patterns;
    const servers = this.#usable(patterns);
    const settled = await Promise.all(servers.map(upstream => this.#loadPart(upstream, kind, signal)));
    const parts = settled.filter(part => 'items' in part);
    const merged = this.#merge(kind, parts);
    return {
      entries: this.#options.joined.visible(merged.entries, kind, patterns),
      missing: settled.filter(part => 'reason' in part),
      refused: merged.refused.filter(each => matchesScope(patterns, each.exposed)),
      ttlMs: this.#ttlMs(servers, parts.length, kind),
    };
  }

  /** The same, for a client: what it was shown last is what later changes are told against. */
  async show(kind: ListKind, patterns: readonly string[], signal: StopSignal): Promise<CatalogView> {
    const view = await this.view(kind, patterns, signal);
    this.#shown.set(kind, { patterns, view });
    return view;
  }

  /**
   * Whether the client would see another list than it was shown last. One that was shown none has nothing to compare: it is
   * told what those servers say that it may use.
   */
  async hasChanged(kind: ListKind, saidBy: ReadonlySet<Upstream>, signal: StopSignal): Promise<boolean> {
    const shown = this.#shown.get(kind);
    if (!shown) return saidBy.size > 0 && this.#usable(this.#lastPatterns).some(each => saidBy.has(each));
    const view = await this.view(kind, shown.patterns, signal);
    if (this.#shown.get(kind) !== shown || isSameView(view, shown.view)) return false;
    this.#shown.set(kind, { patterns: shown.patterns, view });
    return true;
  }

  /** The tool or prompt behind a name. `undefined` when there is none this caller may know of. */
  async resolveName(
    kind: 'tools' | 'prompts',
    exposed: string,
    patterns: readonly string[],
    signal: StopSignal,
  ): Promise<CatalogEntry<ListedItem> | undefined> {
    if (!matchesScope(patterns, exposed)) return undefined;
    this.#lastPatterns = patterns;
    const usable = this.#usable(patterns);
    const hinted = candidateServers(
      exposed,
      usable.map(({ name, policy }) => ({ name, hasPlainNames: policy.hasPlainNames })),
    );
    const candidates = usable.filter(upstream => hinted.includes(upstream.name));
    const held = this.#findHeld(kind, exposed, candidates);
    if (held) {
      this.#remember(this.#resolved[kind], exposed, { ...held, patterns });
      return held.entry;
    }
    const old = await this.#findNamed(kind, exposed, candidates, { signal, mayBeOld: true });
    if (old.found) return old.found;
    const { found, failure } = await this.#findNamed(kind, exposed, candidates, { signal, mayBeOld: false });
    if (!found && failure) throw unavailable(failure);
    return found;
  }

  /** What most calls need: every list that may hold the name is here already. */
  #findHeld(
    kind: 'tools' | 'prompts',
    exposed: string,
    candidates: readonly Upstream[],
  ): Omit<Resolved, 'patterns'> | undefined {
    const parts: LoadedPart[] = [];
    for (const upstream of candidates) {
      const items = this.#options.listsOf(upstream).held(kind);
      if (!items) return undefined;
      parts.push({ upstream, items });
    }
    const entry = this.#options.joined.find(this.#merge(kind, parts).entries, exposed);
    return entry && { entry, servers: this.#options.directory.list(), parts };
  }

  /** What `resolveName` found before, when nothing that led to it has changed since. */
  knownName(
    kind: 'tools' | 'prompts',
    exposed: string,
    patterns: readonly string[],
  ): CatalogEntry<ListedItem> | undefined {
    const known = this.#resolved[kind].get(exposed);
    if (known === undefined) return undefined;
    const isSame =
      known.patterns === patterns &&
      known.servers === this.#options.directory.list() &&
      known.parts.every(({ upstream, items }) => this.#options.listsOf(upstream).held(kind) === items);
    if (isSame) return known.entry;
    this.#resolved.tools.clear(); // what else is remembered may keep lists alive that are gone
    this.#resolved.prompts.clear();
    return undefined;
  }

  #remember(names: Map<string, Resolved>, name: string, resolved: Resolved): void {
    if (names.size >= maxResolved) names.clear();
    names.set(name, resolved);
  }

  async #findNamed(
    kind: 'tools' | 'prompts',
    exposed: string,
    candidates: readonly Upstream[],
    { signal, mayBeOld }: { readonly signal: StopSignal; readonly mayBeOld: boolean },
  ): Promise<{ found: CatalogEntry<ListedItem> | undefined; failure: MissingServer | undefined }> {
    const parts = await Promise.all(
      candidates.map(upstream => this.#loadPart(upstream, kind, signal, mayBeOld)),
    );
    const { entries } = this.#merge(
      kind,
      parts.filter(part => 'items' in part),
    );
    return {
      found: this.#options.joined.find(entries, exposed),
      failure: parts.find(part => 'reason' in part),
    };
  }

  #ttlMs(servers: readonly Upstream[], loaded: number, kind: ListKind): number {
    if (servers.length === 0 || loaded < servers.length) return 0;
    return Math.min(...servers.map(upstream => this.#options.listsOf(upstream).ttlMs(kind)));
  }

  /** The server's own form of a URI. `undefined` when there is none this caller may know of. @throws GatewayError invalid_request (`ambiguous_resource`) */
  async resolveUri(
    exposed: string,
    patterns: readonly string[],
    signal: StopSignal,
  ): Promise<{ server: string; uri: string } | undefined> {
    let resolved = this.routes.resolve(exposed);
    if (resolved.type === 'unknown') {
      await Promise.all([this.view('resources', patterns, signal), this.view('templates', patterns, signal)]);
      resolved = this.routes.resolve(exposed);
    }
    const isVisible = (server: string, uri: string) =>
      isSchemeAllowed(uri, this.#options.directory.get(server)?.policy.uriSchemes) &&
      matchesScope(patterns, scopedName({ exposed: uri, server, key: uri }, 'resources'));
    if (resolved.type === 'found') return isVisible(resolved.server, resolved.uri) ? resolved : undefined;
    if (resolved.type === 'unknown') return this.#ofOnlyServer(exposed, patterns, isVisible);
    const visible = resolved.servers.filter(server => isVisible(server, exposed));
    const [only, ...others] = visible;
    if (only === undefined) return undefined;
    if (others.length === 0) return { server: only, uri: exposed };
    throw new GatewayError(
      'invalid_request',
      `Several servers have this resource. Use one of: ${visible.map(server => `${server}+${exposed}`).join(', ')}`,
      { reason: 'ambiguous_resource', param: 'uri' },
    );
  }

  /** Servers may have more than they list. Where one alone has resources, it is the one to say whether it has this. */
  #ofOnlyServer(
    uri: string,
    patterns: readonly string[],
    isVisible: (server: string, uri: string) => boolean,
  ): { server: string; uri: string } | undefined {
    const lists = (upstream: Upstream, kind: ListKind) =>
      (this.#options.listsOf(upstream).held(kind)?.length ?? 0) > 0;
    const having = this.#usable(patterns).filter(
      each => lists(each, 'resources') || lists(each, 'templates'),
    );
    const [only, ...others] = having;
    if (only === undefined || others.length > 0 || !isVisible(only.name, uri)) return undefined;
    return { server: only.name, uri };
  }

  #usable(patterns: readonly string[]): Upstream[] {
    return this.#options.directory
      .list()
      .filter(({ name, policy }) => mayUseServer(patterns, name, policy.hasPlainNames));
  }

  async #loadPart(
    upstream: Upstream,
    kind: ListKind,
    signal: StopSignal,
    mayBeOld = false,
  ): Promise<LoadedPart | MissingServer> {
    try {
      const items = await this.#options.listsOf(upstream).load(kind, signal, mayBeOld);
      this.#learnUris(upstream.name, kind, items);
      return { upstream, items };
    } catch (error) {
      return { server: upstream.name, reason: error instanceof GatewayError ? error.reason : 'list_timeout' };
    }
  }

  #learnUris(server: string, kind: ListKind, items: readonly ListedItem[]): void {
    if (kind === 'resources') this.routes.setListed(server, items);
    if (kind === 'templates') this.routes.setTemplates(server, items);
  }

  #merge(kind: ListKind, parts: readonly LoadedPart[]): MergedCatalog<ListedItem> {
    if (kind === 'tools' || kind === 'prompts') return this.#options.joined.merge(parts);
    const key = `${kind} ${parts.map(part => part.upstream.name).join(' ')}`;
    const known = this.#uris.get(key);
    const isSame = known?.parts.every((part, index) => part.items === parts[index]?.items);
    if (known && isSame) return known.merged;
    const merged = this.#mergeUris(kind, parts);
    this.#uris.set(key, { parts, merged });
    return merged;
  }

  #mergeUris(kind: ListKind, parts: readonly LoadedPart[]): MergedCatalog<ListedItem> {
    const expose = (server: string, uri: string) =>
      kind === 'templates' ? this.routes.exposeTemplate(server, uri) : this.routes.expose(server, uri);
    const all = parts.flatMap(({ upstream, items }) =>
      items.map(item => ({ exposed: expose(upstream.name, item.key), server: upstream.name, item })),
    );
    const refused = all.filter(({ item }) => item.isRefused);
    return {
      entries: refused.length === 0 ? all : all.filter(({ item }) => !item.isRefused),
      refused: refused.map(({ exposed, server }) => ({ exposed, servers: [server] })),
    };
  }
}

function unavailable({ server, reason }: MissingServer): GatewayError {
  return new GatewayError('upstream_failed', `The server '${server}' is not available.`, {
    reason: 'server_unavailable',
    details: { server, cause: reason },
  });
}
