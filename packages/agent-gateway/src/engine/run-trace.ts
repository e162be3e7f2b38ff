import { type Span, type SpanContext, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { formatTraceparent, parentOf, traceContextOf } from '@strata/shared/http/trace-context.ts';
import { attributes } from '@strata/shared/telemetry/semantic-conventions.ts';
import { contextUnder } from '@strata/shared/telemetry/telemetry.ts';
import type { OpenTask, RunState } from '../domain/run-state.ts';

export interface CallTrace {
  /** For the header of the call. */
  readonly traceparent: string;
  readonly annotate: (facts: Readonly<Record<string, string | number>>) => void;
  succeeded(costNanoUsd: bigint | undefined): void;
  failed(error: GatewayError): void;
}

interface OpenSpan {
  readonly span: Span;
  readonly context: SpanContext;
}

/**
 * The spans of one worker's part of a run. The trace id and the parent are in the journal, so that what another worker adds
 * later, after a crash or a long wait, is in the same trace.
 */
export class RunTrace {
  readonly #tracer: Tracer;
  readonly #run: OpenSpan;
  readonly #tasks = new Map<string, OpenSpan>();

  constructor(tracer: Tracer, { runId, state }: { runId: string; state: RunState }) {
    this.#tracer = tracer;
    const isFirst = state.isFirstOfTrace && !state.isStarted;
    const parent = { ...traceContextOf(state.traceparent), isRemote: !isFirst };
    this.#run = this.#open(`run ${state.workflow}`, parent, {
      startedAtMs: undefined,
      facts: {
        [attributes.runId]: runId,
        [attributes.tenant]: state.identity.tenant,
        [attributes.principal]: state.identity.principal,
      },
    });
  }

  /** Where later workers hang their spans. */
  get traceparent(): string {
    return formatTraceparent(this.#run.context);
  }

  call(task: OpenTask, { label, effect, attempt }: CallLabel): CallTrace {
    const parent = this.#task(task);
    const { span, context } = this.#open(label, parent.context, {
      kind: SpanKind.CLIENT,
      facts: {
        [attributes.taskPath]: task.path,
        [attributes.attempt]: attempt,
        'strata.effect': effect,
      },
    });
    return {
      traceparent: formatTraceparent(context),
      annotate: facts => span.setAttributes(facts),
      succeeded(costNanoUsd) {
        if (costNanoUsd !== undefined) span.setAttribute(attributes.costNanoUsd, costNanoUsd.toString());
        span.end();
      },
      failed(error) {
        span.setAttribute(attributes.errorType, error.reason);
        span.setStatus({ code: SpanStatusCode.ERROR, message: error.reason });
        span.end();
      },
    };
  }

  /** The task has ended. Tasks that called nothing and lasted no time have no span of their own. */
  taskEnded({ path, visit }: { path: string; visit: number }, reason?: string): void {
    const key = `${path}#${visit}`;
    const span = this.#tasks.get(key)?.span;
    if (span === undefined) return;
    this.#tasks.delete(key);
    if (reason !== undefined) {
      span.setAttribute(attributes.errorType, reason);
      span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
    }
    span.end();
  }

  /** This worker's part is over. */
  end(facts: Readonly<Record<string, string>>): void {
    for (const { span } of this.#tasks.values()) span.end();
    this.#tasks.clear();
    this.#run.span.setAttributes(facts);
    this.#run.span.end();
  }

  #task(task: OpenTask): OpenSpan {
    const key = `${task.path}#${task.visit}`;
    const known = this.#tasks.get(key);
    if (known !== undefined) return known;
    const outer = task.branch?.owner;
    const parent = outer === undefined || outer.path === '' ? this.#run : this.#task(outer);
    const made = this.#open(`task ${task.path.slice(task.path.lastIndexOf('/') + 1)}`, parent.context, {
      startedAtMs: task.startedAtMs,
      facts: { [attributes.taskPath]: task.path, 'strata.task.visit': task.visit },
    });
    this.#tasks.set(key, made);
    return made;
  }

  #open(
    name: string,
    parent: SpanContext,
    options: { kind?: SpanKind; startedAtMs?: number | undefined; facts: Record<string, string | number> },
  ): OpenSpan {
    const { kind = SpanKind.INTERNAL, startedAtMs, facts } = options;
    const span = this.#tracer.startSpan(
      name,
      { kind, attributes: facts, ...(startedAtMs !== undefined && { startTime: startedAtMs }) },
      parentOf(parent),
    );
    return { span, context: contextUnder(span, parent) };
  }
}

interface CallLabel {
  readonly label: string;
  readonly effect: string;
  readonly attempt: number;
}
