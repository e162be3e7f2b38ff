/** A definition that was put no longer ago need not be put again: it is not removed before it is an hour old. */
export const definitionIsFreshMs = 10 * 60_000;
