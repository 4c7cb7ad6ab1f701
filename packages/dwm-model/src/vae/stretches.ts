/**
 * A clip goes through the network in stretches of frames. What is left over when the frames do not divide
 * joins the first stretch, which takes the odd frame that a causal codec treats apart. Norms see only their
 * stretch, so the division is part of the result.
 */

/** Frames of a stretch in pixels, and in latents. */
export const SAMPLE_FRAMES = 8;
export const LATENT_FRAMES = 2;

/** Number of frames of each stretch: 17 by 8 are 9 + 8, 5 by 2 are 3 + 2, and fewer than `size` stay together. */
export function stretches(frames: number, size: number): number[] {
  const count = Math.max(Math.floor(frames / size), 1);
  return Array.from({ length: count }, (_, i) => (i === 0 ? frames - size * (count - 1) : size));
}
