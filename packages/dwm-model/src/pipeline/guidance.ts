/**
 * Dynamic guidance: starts low and rises to the full scale. The formula takes the timestep (0..999) where it
 * means the step number, as the original's code has it.
 */
export function dynamicGuidanceScale(scale: number, steps: number, timestep: number): number {
  return 1 + scale * ((1 - Math.cos(Math.PI * ((steps - timestep) / steps) ** 5)) / 2);
}
