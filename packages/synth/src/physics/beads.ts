/** Beads that end within 8 cm of the vertical through a point. */
import type { Vec3 } from '@dwm/renderer';
import type { HandsRun } from './run-hands.ts';

export function beadsNear({ moving }: HandsRun, [x, , z]: Vec3): number {
  return moving.filter(({ name, worlds }) => {
    const last = worlds.at(-1)!;
    return /^bead( \d+)?$/.test(name) && Math.hypot(last[3] - x, last[11] - z) < 0.08;
  }).length;
}
