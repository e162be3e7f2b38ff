import { writeFileSync } from 'node:fs';

/** Which parts of the memory a core dump has: none (core(5), "Controlling which mappings are written to the core dump"). Child processes inherit it. */
const coredumpFilter = '/proc/self/coredump_filter';

/**
 * A dump of this process would hold keys and what people wrote (`S21`): its reports are switched off, whatever Node was started with, and a
 * core dump has none of its memory. Gives what could not be done.
 */
export function withholdDumps(): string | undefined {
  const { report } = process;
  report.reportOnFatalError = false;
  report.reportOnUncaughtException = false;
  report.reportOnSignal = false;
  try {
    writeFileSync(coredumpFilter, '0');
    return undefined;
  } catch (error) {
    return `${coredumpFilter} cannot be written (${(error as NodeJS.ErrnoException).code}): switch core dumps off in the host`;
  }
}
