import type { BlockStart, NeutralAnswer, NeutralEvent } from './neutral-event.ts';
import type { Citation, Part } from './neutral-request.ts';
import type { Seal } from './seal.ts';

interface Draft {
  readonly block: BlockStart;
  readonly texts: string[];
  seal: Seal | undefined;
  readonly citations: Citation[];
}

/** A whole answer is what its events add up to. The events must be in the guard's order. */
export function foldAnswer(events: Iterable<NeutralEvent>): NeutralAnswer {
  const fold = new AnswerFold();
  for (const event of events) fold.add(event);
  return fold.answer();
}

/** The same, for one who reads along. */
export class AnswerFold {
  readonly #drafts = new Map<number, Draft>();
  #start: Extract<NeutralEvent, { type: 'start' }> | undefined;
  #usage: Extract<NeutralEvent, { type: 'usage' }> | undefined;
  #finish: Extract<NeutralEvent, { type: 'finish' }> | undefined;

  add(event: NeutralEvent): void {
    switch (event.type) {
      case 'start':
        this.#start = event;
        return;
      case 'block-start':
        this.#drafts.set(event.index, {
          block: event.block,
          texts: [],
          seal: sealOf(event.block),
          citations: [],
        });
        return;
      case 'block-delta':
        this.#addDelta(event);
        return;
      case 'usage':
        this.#usage = event;
        return;
      case 'finish':
        this.#finish = event;
        return;
      default:
    }
  }

  #addDelta({ index, delta }: Extract<NeutralEvent, { type: 'block-delta' }>): void {
    const draft = this.#drafts.get(index);
    if (draft === undefined) return;
    if (delta.type === 'text') draft.texts.push(delta.text);
    else if (delta.type === 'seal') draft.seal = delta.seal;
    else draft.citations.push(delta.citation);
  }

  answer(): NeutralAnswer {
    return {
      id: this.#start?.id,
      model: this.#start?.model,
      parts: [...this.#drafts.values()].map(partOf),
      finish: this.#finish?.reason ?? 'unknown',
      stopSequence: this.#finish?.stopSequence,
      report: this.#usage?.report ?? this.#start?.usage,
      serviceTier: this.#usage?.serviceTier,
    };
  }
}

function sealOf(block: BlockStart): Seal | undefined {
  return block.kind === 'reasoning' || block.kind === 'tool-call' ? block.seal : undefined;
}

function partOf({ block, texts, seal, citations }: Draft): Part {
  const text = texts.join('');
  switch (block.kind) {
    case 'text':
      return { type: 'text', text, ...(citations.length > 0 && { citations }), ...(seal && { seal }) };
    case 'refusal':
      return { type: 'refusal', text };
    case 'reasoning':
      return { type: 'reasoning', text, ...(seal && { seal }) };
    case 'tool-call': {
      const { id, name, input } = block;
      return { type: 'tool-call', id, name, input, arguments: text, ...(seal && { seal }) };
    }
    case 'whole':
      return block.part;
  }
}
