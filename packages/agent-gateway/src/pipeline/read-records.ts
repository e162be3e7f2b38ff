import type { Journal } from '../domain/journal.ts';
import type { JournalRecord } from '../domain/run-events.ts';

const pageSize = 1000;

/** All records of a run; how large they may be together is a limit of the run. */
export async function readRecords(runId: string, journal: Journal): Promise<JournalRecord[]> {
  const records: JournalRecord[] = [];
  for (;;) {
    const page = await journal.read(runId, records.length, pageSize);
    records.push(...page);
    if (page.length < pageSize) return records;
  }
}
