/** Counts that the tests try: odd ones, and a million. */
export const RANDOM_COUNTS: readonly number[] = [1, 7, 64, 257, 1_000_000];
