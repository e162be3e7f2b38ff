import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';

const page = join(import.meta.dirname, '../../../docs/mcp-gateway.md');

/**
 * What a test file found out, as a table of `docs/mcp-gateway.md`: written there when `UPDATE_MATRIX` is set; else the page must say
 * exactly this.
 */
export function expectInPage(name: string, rows: readonly (readonly string[])[]): void {
  const [head = [], ...body] = rows;
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  const table = `\n${line(head)}${line(head.map(() => '---'))}${body.map(line).join('')}\n`;
  const place = new RegExp(`<!-- ${name} -->\\n([\\s\\S]*?)<!-- /${name} -->`);
  const text = readFileSync(page, 'utf8');
  const found = place.exec(text)?.[1];
  if (found === undefined) throw new Error(`docs/mcp-gateway.md has no place for '${name}'`);
  if (process.env.UPDATE_MATRIX === '1')
    writeFileSync(
      page,
      text.replace(place, () => `<!-- ${name} -->\n${table}<!-- /${name} -->`),
    );
  else expect(found).toBe(table);
}
