/** Frames of a clip onto a canvas. */
import type { Frames } from '@dwm/media';

export function drawFrame(canvas: HTMLCanvasElement, clip: Frames, frame: number): void {
  const { width, height, data } = clip;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d')!;
  const image = context.createImageData(width, height);
  const from = Math.min(frame, clip.frames - 1) * width * height * 3;
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = data[from + 3 * i + c];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Whether a frame of the hands' clip shows no hand at all: a drop-out, or a hand out of sight. */
export function isEmpty({ data, width, height }: Frames, frame: number): boolean {
  const size = width * height * 3;
  return data.subarray(frame * size, (frame + 1) * size).every((value) => value === 0);
}
