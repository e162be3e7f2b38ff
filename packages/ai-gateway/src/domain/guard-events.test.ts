import fc from 'fast-check';
import { expect, test } from 'vitest';
import { foldAnswer } from './fold-answer.ts';
import { EventGuard } from './guard-events.ts';
import type { NeutralEvent } from './neutral-event.ts';

const call = (index: number): NeutralEvent => ({
  type: 'block-start',
  index,
  block: { kind: 'tool-call', id: `call-${index}`, name: 'f', input: 'json' },
});
const text = (index: number, value: string): NeutralEvent => ({
  type: 'block-delta',
  index,
  delta: { type: 'text', text: value },
});
const finish: NeutralEvent = { type: 'finish', reason: 'tool-calls' };

function guarded(events: readonly NeutralEvent[]): NeutralEvent[] {
  const guard = new EventGuard();
  return [...events.flatMap(event => guard.pass(event)), ...guard.closeAll()];
}

/** Where the events break the grammar that encoders rely on. */
function mistakes(events: readonly NeutralEvent[]): string[] {
  const found: string[] = [];
  let open: number | undefined;
  let next = 0;
  let isFinished = false;
  events.forEach((event, at) => {
    if (at === 0 && event.type !== 'start') found.push('no start');
    if (isFinished && event.type !== 'usage') found.push(`${event.type} after the finish`);
    if (event.type === 'block-start') {
      if (open !== undefined || event.index !== next++) found.push(`start ${event.index}`);
      open = event.index;
    }
    if (event.type === 'block-delta' && open !== event.index) found.push(`delta ${event.index}`);
    if (event.type === 'block-stop') {
      if (open !== event.index) found.push(`stop ${event.index}`);
      open = undefined;
    }
    if (event.type === 'finish') {
      if (open !== undefined) found.push('open at the finish');
      isFinished = true;
    }
  });
  if (open !== undefined) found.push('left open');
  return found;
}

test('[AI-3] interleaved calls come one after another, each with its own bytes', () => {
  const events = guarded([
    call(7),
    text(7, '{"a"'),
    call(9),
    text(9, '{"b":'),
    text(7, ':1}'),
    text(9, '2}'),
    finish,
  ]);
  expect(mistakes(events)).toEqual([]);
  expect(foldAnswer(events).parts.map(part => part.type === 'tool-call' && part.arguments)).toEqual([
    '{"a":1}',
    '{"b":2}',
  ]);
});

test('[AI-3] whatever comes, what leaves is well-formed, and every call keeps its bytes', () => {
  const index = fc.integer({ min: 0, max: 5 });
  const anyEvent = fc.oneof(
    index.map(call),
    fc.tuple(index, fc.string()).map(([at, value]) => text(at, value)),
    index.map((at): NeutralEvent => ({ type: 'block-stop', index: at })),
    fc.constant<NeutralEvent>({ type: 'start', id: 'x', model: 'm' }),
    fc.constant(finish),
  );
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 60 }), events => {
      expect(mistakes(guarded([{ type: 'start', id: 'x', model: 'm' }, ...events]))).toEqual([]);
    }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(index, fc.string()), { maxLength: 60 }), deltas => {
      const opened = [...new Set(deltas.map(([at]) => at))];
      const events = guarded([...opened.map(call), ...deltas.map(([at, value]) => text(at, value)), finish]);
      const expected = opened.map(at =>
        deltas.flatMap(([each, value]) => (each === at ? [value] : [])).join(''),
      );
      const got = foldAnswer(events).parts.map(part => (part.type === 'tool-call' ? part.arguments : ''));
      expect(got).toEqual(expected);
    }),
  );
});
