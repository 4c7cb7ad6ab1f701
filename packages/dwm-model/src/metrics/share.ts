/** A share of cases with the 95% interval of Wilson (1927), which stays honest at none, at all and for few cases. */
export interface Share {
  /** A tie may count as a part. */
  readonly right: number;
  readonly of: number;
  readonly share: number;
  readonly low: number;
  readonly high: number;
}

const Z = 1.96;

/** @param of more than 0. */
export function shareOf(right: number, of: number): Share {
  const share = right / of;
  const middle = (share + Z ** 2 / (2 * of)) / (1 + Z ** 2 / of);
  const half = (Z / (1 + Z ** 2 / of)) * Math.sqrt((share * (1 - share)) / of + Z ** 2 / (4 * of ** 2));
  return { right, of, share, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/** E.g. `38 of 50, 76% (95%: 63 to 86%)`. */
export function shareText({ right, of, share, low, high }: Share): string {
  const percent = (value: number) => (100 * value).toFixed(0);
  return `${Number(right.toFixed(1))} of ${of}, ${percent(share)}% (95%: ${percent(low)} to ${percent(high)}%)`;
}
