import { expect, test, vi } from 'vitest';
import { isTimeZone } from './budget-window.ts';

test('however many names callers have for time zones, few of them are kept', () => {
  const names = Array.from({ length: 700 }, (_, minutes) => {
    const two = (part: number) => String(part).padStart(2, '0');
    return `+${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  });
  expect(names.every(isTimeZone)).toBe(true);
  const made = vi.spyOn(Intl, 'DateTimeFormat');
  expect(names.at(-1)).toSatisfy(isTimeZone);
  expect(made).not.toHaveBeenCalled();
  expect(names[0]).toSatisfy(isTimeZone);
  expect(made).toHaveBeenCalledOnce();
  made.mockRestore();
});
