/** Element counts of packed tensors: multiples of 64, with and without a last block that is not full. */
export const ADAMW8BIT_COUNTS = [64, 256, 320, 64 * 37, 64 * 1031] as const;
