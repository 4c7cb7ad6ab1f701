/** The plane that the hand moves in, as four corners about it in the picture: squares of five centimetres to draw. */
import type { Intrinsics } from '@dwm/renderer';
import { projected } from './camera-rig.ts';
import type { Rigs } from './controls.ts';

const SIZE = 0.2;
const CELL = 0.05;

/** @param shown false clears the picture. */
export function drawGhostPlane(
  canvas: HTMLCanvasElement,
  { camera, hand }: Rigs,
  lens: Intrinsics,
  shown: boolean,
): void {
  if (canvas.width !== lens.width || canvas.height !== lens.height)
    Object.assign(canvas, { width: lens.width, height: lens.height });
  const context = canvas.getContext('2d')!;
  context.clearRect(0, 0, lens.width, lens.height);
  const { x, y, depth } = projected(camera, lens, hand.position);
  if (!shown || !(depth > 0)) return;
  // It faces the camera, so a metre is the same number of pixels all over it.
  const pixels = lens.fx / depth;
  const reach = SIZE * pixels;
  context.strokeStyle = 'rgb(140 200 255 / 0.35)';
  context.lineWidth = 1;
  context.beginPath();
  for (let at = -SIZE; at <= SIZE + 1e-9; at += CELL) {
    context.moveTo(x + at * pixels, y - reach);
    context.lineTo(x + at * pixels, y + reach);
    context.moveTo(x - reach, y + at * pixels);
    context.lineTo(x + reach, y + at * pixels);
  }
  context.stroke();
}
