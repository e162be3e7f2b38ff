import * as z from 'zod';

/** Anything an operator can name in config: a provider, a policy, an upstream, a task. */
export interface Plugin<Name extends string, Options extends z.ZodObject, Deps, Made> {
  readonly type: Name;
  readonly options: Options;
  create(options: z.output<Options>, deps: Deps): Made;
}

/** A plugin whose options type is hidden, so that plugins with different options fit in one list. */
export interface RegisteredPlugin<Deps, Made> {
  readonly type: string;
  readonly options: z.ZodObject;
  /** Parses the options strictly, then makes the thing. */
  make(options: unknown, deps: Deps): Made;
}

/** Binds the two types that all plugins of one kind share. */
export function definePlugin<Deps, Made>() {
  return <Name extends string, Options extends z.ZodObject>(
    plugin: Plugin<Name, Options, Deps, Made>,
  ): RegisteredPlugin<Deps, Made> => ({
    type: plugin.type,
    options: plugin.options,
    make: (options, deps) => {
      plugin.options.strict().parse(options); // refuses unknown keys; `strict()` loses the output type
      return plugin.create(plugin.options.parse(options), deps);
    },
  });
}

/** Looks plugins up by `type`. `schema` is the strict union of all their options, for config. */
export function createRegistry<Deps, Made>(
  plugins: readonly [RegisteredPlugin<Deps, Made>, ...RegisteredPlugin<Deps, Made>[]],
) {
  const byType = new Map(plugins.map(plugin => [plugin.type, plugin]));
  const [first, ...rest] = plugins.map(plugin =>
    plugin.options.extend({ type: z.literal(plugin.type) }).strict(),
  );
  if (!first) throw new Error('A registry needs at least one plugin');
  const schema = z.discriminatedUnion('type', [first, ...rest]);

  return {
    schema,
    types: [...byType.keys()],
    create(config: { readonly type: string } & Record<string, unknown>, deps: Deps): Made {
      const { type, ...options } = config;
      const plugin = byType.get(type);
      if (!plugin) throw new Error(`Unknown plugin type '${type}'. Known: ${[...byType.keys()].join(', ')}`);
      return plugin.make(options, deps);
    },
  };
}
