import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDirectives } from './directives.ts';

describe('directives', () => {
  it('leaves a prompt without any as it is', () => {
    expect(parseDirectives('a [b] [[c]] d')).toMatchObject({ rest: 'a [b] [[c]] d', isScripted: false });
  });

  it('takes them out of the prompt', () => {
    const found = parseDirectives('One [[say: two]] three [[words: 4]] [[stop: length]] [[refuse]]');
    expect(found).toMatchObject({
      rest: 'One  three',
      say: 'two',
      words: 4,
      stop: 'length',
      refuse: 'I cannot help with that.',
    });
  });

  it('reads JSON that holds the closing brackets', () => {
    const { steps } = parseDirectives('[[tool: f {"a":[[1,2]],"b":"]]","c":"\\"]]"}]] rest');
    expect(steps).toEqual([[{ name: 'f', json: '{"a":[[1,2]],"b":"]]","c":"\\"]]"}' }]]);
  });

  it('keeps one step for each tool and one for tools together', () => {
    const { steps } = parseDirectives('[[tool: a]] [[tools: b {"x":";"} ; c]] [[tool: d {}]]');
    expect(steps.map(step => step.map(call => call.name))).toEqual([['a'], ['b', 'c'], ['d']]);
  });

  it('collects faults', () => {
    expect(parseDirectives('[[fault: status=429;retry-after=1]]').faults).toEqual([
      'status=429;retry-after=1',
    ]);
  });

  it('reads anything', () => {
    const text = fc.array(
      fc.oneof(fc.string(), fc.constantFrom('[[', ']]', '[[say:', '[[tool:', '{', '}', '"', '\\', ';')),
    );
    fc.assert(fc.property(text, parts => void parseDirectives(parts.join(''))));
  });
});
