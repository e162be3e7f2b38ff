import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { renderConfigDoc } from '@strata/cli/config-doc.ts';

writeFileSync(resolve(import.meta.dirname, '../docs/config.md'), renderConfigDoc());
