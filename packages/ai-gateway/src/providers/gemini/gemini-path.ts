/** `model:method`, always as events where it streams. */
export function geminiMethod({
  model,
  isStream,
}: {
  readonly model: string;
  readonly isStream: boolean;
}): string {
  const name = encodeURIComponent(model);
  return isStream ? `${name}:streamGenerateContent?alt=sse` : `${name}:generateContent`;
}
