/** What a tool server inherits. Everything else, credentials of the gateway first, it does not see (M3). */
const inherited = ['HOME', 'LANG', 'LC_ALL', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'TMPDIR', 'TZ', 'USER'];

/** Variables that make a program load other code than the one that was configured. */
const forbidden = /^(NODE_OPTIONS|NODE_PATH|LD_.*|DYLD_.*|BASH_ENV|ENV|PYTHONSTARTUP|PERL5OPT|RUBYOPT)$/;

export function isForbiddenVariable(name: string): boolean {
  return forbidden.test(name);
}

export function childEnvironment(
  parent: Readonly<Record<string, string | undefined>>,
  configured: Readonly<Record<string, string>>,
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of inherited) {
    const value = parent[name];
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, ...configured };
}
