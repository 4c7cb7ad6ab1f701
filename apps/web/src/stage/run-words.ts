/** How far a run is, in words and as a share. */
import type { GenerateProgress } from '../worker/protocol.ts';

const seconds = (value: number) =>
  value < 90 ? `${value.toFixed(value < 10 ? 1 : 0)} s` : `${Math.round(value / 60)} min`;

const STAGES = {
  text: 'reading the words',
  encode: 'looking at the room and the hand',
  denoise: 'drawing',
  decode: 'making pictures of it',
};

export function doing({ stage, step, steps, secondsPerStep, secondsLeft }: GenerateProgress): string {
  const parts = [
    `The model is ${STAGES[stage]}`,
    stage === 'denoise' && steps > 1 && `step ${step} of ${steps}`,
    secondsPerStep !== undefined && `${seconds(secondsPerStep)} a step`,
    stage === 'denoise' && secondsLeft && `${seconds(secondsLeft)} left`,
  ];
  return parts.filter(Boolean).join(', ');
}

/** Share of the whole run; the denoising is by far the most of it. */
export function done({ stage, done: part }: GenerateProgress): number {
  const [from, to] = { text: [0, 0.02], encode: [0.02, 0.1], denoise: [0.1, 0.93], decode: [0.93, 1] }[stage];
  return from + (to - from) * part;
}
