import { alternatives, type SchemaShape, shapeOf } from '@strata/shared/config/schema-shape.ts';
import { stackSchema } from './start/stack-config.ts';

const preface = `# Configuration

One YAML file, \`strata.yaml\` in the working directory or wherever \`STRATA_CONFIG\` points. Every key is optional: an empty
file is a whole configuration. Unknown keys, wrong types and references that lead nowhere are all reported at once, with their
line and the nearest key that exists, and nothing starts.

- **Environment.** Every value can be set by a variable: \`STRATA_\`, then the path in capitals with two underscores between
  keys. \`STRATA_AI_GATEWAY__LISTEN__PORT=5100\` is \`ai_gateway.listen.port: 5100\`. Lists and maps are written as YAML or
  JSON: \`STRATA_AI_GATEWAY__MODELS='{fast: {targets: [{provider: openai, model: gpt-5-mini}]}}'\`. Names in maps match whatever
  their punctuation: \`MY_MODEL\` finds \`my-model\`. The environment wins over the file.
- **Secrets.** \`\${env:NAME}\` takes a value from the environment, \`\${file:/run/secrets/name}\` from a file; both work inside any
  text. Keys marked *secret* are never shown, logged or served.
- **Reload.** The file is read again when it changes and on SIGHUP. The new text is checked as a whole and then takes effect at
  once, or is refused and the old one stays. Requests under way keep the configuration they began with. Keys marked *at start* are read
  once, when the process starts.

This page is generated from the schemas by \`pnpm config-doc\`; a test fails when it is stale.
`;

/** The reference page of all keys, from the schemas that parse them. */
export function renderConfigDoc(): string {
  const root = shapeOf(stackSchema);
  const sections = Object.entries(root.properties ?? {}).map(([name, shape]) => renderSection(name, shape));
  return `${preface}\n${sections.join('\n')}`;
}

function renderSection(name: string, shape: SchemaShape): string {
  const rows = rowsOf(name, shape);
  const title = `## \`${name}\`\n\n${shape.description ?? ''}\n`;
  const table = ['| key | type | default | meaning |', '|---|---|---|---|', ...rows];
  return `${title}\n${table.join('\n')}\n`;
}

function rowsOf(path: string, shape: SchemaShape): string[] {
  const options = alternatives(shape).filter(option => option.type !== 'null');
  const [only] = options;
  if (options.length === 1 && only !== undefined)
    return rowsOfOne(
      path,
      { ...only, description: shape.description ?? only.description ?? '' },
      shape.default,
    );
  const allMaps = options.every(option => option.properties !== undefined);
  if (!allMaps) return [row(path, options.map(typeText).join(' or '), shape.default, shape.description)];
  return [
    row(
      path,
      'one of the following',
      shape.default,
      shape.description ?? `Chosen by ${options.map(option => `\`${discriminatorOf(option)}\``).join(', ')}.`,
    ),
    ...options.flatMap(option => rowsOfOne(`${path} (${discriminatorOf(option)})`, option, undefined)),
  ];
}

function rowsOfOne(path: string, shape: SchemaShape, defaultValue: unknown): string[] {
  if (shape.properties !== undefined) {
    const required = new Set(shape.required ?? []);
    const keys = Object.entries(shape.properties).filter(([, child]) => child.const === undefined);
    const children = keys.flatMap(([key, child]) =>
      rowsOf(
        `${path}.${key}`,
        required.has(key) && child.default === undefined
          ? { ...child, description: `**Required.** ${child.description ?? ''}` }
          : child,
      ),
    );
    return shape.description ? [row(path, 'map', undefined, shape.description), ...children] : children;
  }
  if (typeof shape.additionalProperties === 'object') {
    const inner = alternatives(shape.additionalProperties);
    const isPlain = inner.every(option => option.properties === undefined && option.type !== 'array');
    if (isPlain)
      return [
        row(path, `map of name to ${inner.map(typeText).join(' or ')}`, defaultValue, shape.description),
      ];
    return [
      row(path, 'map by name', defaultValue, shape.description),
      ...rowsOf(`${path}.*`, shape.additionalProperties),
    ];
  }
  if (
    shape.items !== undefined &&
    alternatives(shape.items).some(option => option.properties !== undefined)
  ) {
    return [row(path, 'list', defaultValue, shape.description), ...rowsOf(`${path}[]`, shape.items)];
  }
  return [row(path, typeText(shape), defaultValue ?? shape.default, shape.description)];
}

function discriminatorOf(shape: SchemaShape): string {
  const entry = Object.entries(shape.properties ?? {}).find(([, child]) => child.const !== undefined);
  return entry === undefined ? 'map' : `${entry[0]}: ${String(entry[1].const)}`;
}

function typeText(shape: SchemaShape): string {
  if (shape.const !== undefined) return `\`${String(shape.const)}\``;
  if (shape.enum !== undefined) return shape.enum.map(value => `\`${String(value)}\``).join(', ');
  if (shape.type === 'array')
    return `list of ${shape.items === undefined ? 'anything' : alternatives(shape.items).map(typeText).join(' or ')}`;
  const base =
    shape.secret === true ? 'secret text' : shape.type === 'string' ? 'text' : (shape.type ?? 'anything');
  const low = shape.minimum;
  const high = shape.maximum === Number.MAX_SAFE_INTEGER ? undefined : shape.maximum;
  if (low !== undefined && low > Number.MIN_SAFE_INTEGER && high !== undefined)
    return `${base}, ${low} to ${high}`;
  if (low !== undefined && low > Number.MIN_SAFE_INTEGER) return `${base}, at least ${low}`;
  return base;
}

function row(path: string, type: string, defaultValue: unknown, description: string | undefined): string {
  const shown =
    defaultValue === undefined || isEmptyMap(defaultValue) ? '' : `\`${JSON.stringify(defaultValue)}\``;
  return `| \`${path}\` | ${escapeCell(type)} | ${escapeCell(shown)} | ${escapeCell(description ?? '')} |`;
}

function isEmptyMap(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
