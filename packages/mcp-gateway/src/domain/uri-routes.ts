import { matchesScope } from '@strata/shared/identity/scopes.ts';

/**
 * Which server a resource URI belongs to, for one session. URIs keep their own form, so that what a client finds in a
 * tool's result matches what it finds in a list; one that two servers claim, or that no list names and another server could
 * have too, is shown as `server+uri` (`ui://server/rest` where it is `ui://rest`). That form always resolves, at any replica
 * and whatever was asked before. Pages of the web keep theirs: clients open them without the server.
 */
export interface UriRoutes {
  /** Replaces what a server lists. */
  setListed(server: string, items: readonly { readonly key: string }[]): void;
  setTemplates(server: string, items: readonly { readonly key: string }[]): void;
  /** The form a client gets. Remembers URIs that no list names, such as a link in a tool's result. */
  expose(server: string, uri: string): string;
  /** The form in which the client knows a URI from before, perhaps from another replica. */
  restore(server: string, uri: string, exposed: string): void;
  exposeTemplate(server: string, template: string): string;
  /** The server's own form of a client's URI or template. */
  resolve(exposed: string): ResolvedUri;
}

export type ResolvedUri =
  | { readonly type: 'found'; readonly server: string; readonly uri: string }
  | { readonly type: 'ambiguous'; readonly servers: readonly string[] }
  | { readonly type: 'unknown' };

const maxLearned = 2000;

export interface UriRoutesOptions {
  readonly servers: () => readonly string[];
  /** `false` for a server that said that it has none. */
  readonly hasResources?: (server: string) => boolean;
}

export function createUriRoutes({ servers, hasResources }: UriRoutesOptions): UriRoutes {
  const listed = new Map<string, ReadonlySet<string>>();
  const templates = new Map<string, ReadonlySet<string>>();
  const learned = new Map<string, string>();
  /** URIs the client itself wrote with the prefix: it gets them back as it wrote them. */
  const spoken = new Map<string, string>();
  const sources = new Map<string, unknown>();

  /** Lists are handed over again and again as the same array; only a new one is worth the work. */
  const replace = (
    table: Map<string, ReadonlySet<string>>,
    server: string,
    items: readonly { readonly key: string }[],
  ) => {
    if (sources.get(`${table === listed} ${server}`) === items) return;
    sources.set(`${table === listed} ${server}`, items);
    table.set(server, new Set(items.map(item => item.key)));
  };

  const ownersIn = (table: ReadonlyMap<string, ReadonlySet<string>>, uri: string) =>
    [...table].filter(([, uris]) => uris.has(uri)).map(([server]) => server);

  const templateOwners = (uri: string) =>
    [...templates]
      .filter(([, patterns]) => matchesScope([...patterns].map(templateGlob), uri))
      .map(([server]) => server);

  const claimants = (uri: string): string[] => {
    const listing = ownersIn(listed, uri);
    const owners = listing.length > 0 ? listing : templateOwners(uri);
    const learnedOwner = owners.length > 0 ? undefined : learned.get(uri);
    return learnedOwner === undefined ? owners : [learnedOwner];
  };

  /** One whose lists nobody has seen may have anything. */
  const mayHaveResources = (server: string) =>
    hasResources?.(server) !== false &&
    (listed.get(server)?.size ?? 1) + (templates.get(server)?.size ?? 1) > 0;
  const mayBeOfAnother = (server: string, uri: string) =>
    !webPage.test(uri) && servers().some(other => other !== server && mayHaveResources(other));

  const remember = (table: Map<string, string>, key: string, value: string) => {
    const oldest = table.keys().next();
    if (table.size >= maxLearned && !oldest.done) table.delete(oldest.value);
    table.set(key, value);
  };

  return {
    setListed: (server, items) => replace(listed, server, items),
    setTemplates: (server, items) => replace(templates, server, items),
    expose(server, uri) {
      const used = spoken.get(`${server} ${uri}`);
      if (used !== undefined) return used;
      const owners = claimants(uri);
      const isOwn = owners.length === 0 ? !mayBeOfAnother(server, uri) : owners.join() === server;
      if (!isOwn) return prefixed(server, uri);
      if (owners.length === 0) remember(learned, uri, server);
      return uri;
    },
    restore: (server, uri, exposed) => remember(spoken, `${server} ${uri}`, exposed),
    exposeTemplate: (server, template) =>
      ownersIn(templates, template).some(owner => owner !== server) ? prefixed(server, template) : template,
    resolve(exposed) {
      const exact = ownersIn(templates, exposed);
      const owners = exact.length > 0 ? exact : claimants(exposed);
      const [only, ...others] = owners;
      if (only !== undefined && others.length === 0) return { type: 'found', server: only, uri: exposed };
      // What a client was once shown keeps its meaning, though another server has it too since.
      const shown = learned.get(exposed);
      if (shown !== undefined && owners.includes(shown))
        return { type: 'found', server: shown, uri: exposed };
      if (only !== undefined) return { type: 'ambiguous', servers: owners };
      const { server, uri } = withoutPrefix(exposed);
      if (!servers().includes(server)) return { type: 'unknown' };
      remember(spoken, `${server} ${uri}`, exposed);
      return { type: 'found', server, uri };
    },
  };
}

const webPage = /^https?:/i;

/** Clients know the pages of MCP Apps by their scheme, so there the server's name stands behind it. */
const appScheme = 'ui://';

function prefixed(server: string, uri: string): string {
  return uri.startsWith(appScheme)
    ? `${appScheme}${server}/${uri.slice(appScheme.length)}`
    : `${server}+${uri}`;
}

function withoutPrefix(exposed: string): { server: string; uri: string } {
  if (exposed.startsWith(appScheme)) {
    const [server = '', ...rest] = exposed.slice(appScheme.length).split('/');
    return { server, uri: appScheme + rest.join('/') };
  }
  const plus = exposed.indexOf('+');
  return { server: exposed.slice(0, Math.max(plus, 0)), uri: exposed.slice(plus + 1) };
}

/** An RFC 6570 template as a glob: each expression matches any run of characters. */
function templateGlob(template: string): string {
  return template.replace(/\{[^{}]*\}/g, '*');
}
