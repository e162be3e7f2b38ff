export interface Span {
  readonly trace_id: string;
  readonly span_id: string;
  readonly parent_span_id?: string;
  readonly service: string;
  readonly name: string;
  readonly start_unix_nano: string;
  readonly end_unix_nano: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Prints spans of one trace as a tree, with how long each took and what it cost. */
export function printTrace(spans: readonly Span[]): void {
  const ids = new Set(spans.map(span => span.span_id));
  const roots = spans.filter(span => span.parent_span_id === undefined || !ids.has(span.parent_span_id));
  console.log(`Trace ${spans[0]?.trace_id}`);
  for (const root of byStart(roots)) printSpan(root, 1);

  function printSpan(span: Span, depth: number): void {
    const ms = Number(BigInt(span.end_unix_nano) - BigInt(span.start_unix_nano)) / 1e6;
    const cost = span.attributes['strata.cost.nano_usd'];
    const line = `${'  '.repeat(depth)}${span.name}`.padEnd(56);
    console.log(
      `${line} ${span.service.padEnd(14)} ${ms.toFixed(1).padStart(8)} ms${cost === undefined ? '' : `  ${String(cost)} nUSD`}`,
    );
    for (const child of byStart(spans.filter(each => each.parent_span_id === span.span_id)))
      printSpan(child, depth + 1);
  }
}

function byStart(spans: readonly Span[]): Span[] {
  return [...spans].sort((left, right) =>
    BigInt(left.start_unix_nano) < BigInt(right.start_unix_nano) ? -1 : 1,
  );
}
