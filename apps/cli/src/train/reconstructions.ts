/** Contact sheets of what the VAE makes of clips: truth over reconstruction, with its quality. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Reconstruction } from '@dwm/dwm-model/node';
import { contactSheet, type Frames, writePng } from '@dwm/media/node';
import { validationFolder } from './validation.ts';

type Clip = Reconstruction['truth'];

/** [1, 3, frames, height, width] in [-1, 1] as bytes. */
function toFrames({ shape: [, , frames, height, width], data }: Clip): Frames {
  const pixels = frames * height * width;
  const bytes = new Uint8Array(3 * pixels);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < pixels; i++) {
      const value = (data[c * pixels + i] + 1) * 127.5;
      bytes[3 * i + c] = Math.round(Math.min(255, Math.max(0, value)));
    }
  }
  return { data: bytes, frames, height, width, fps: 8 };
}

/** Writes `<output_dir>/validation/step-<n>/<clip>.png`, one for every clip; n has six digits. */
export async function writeReconstructions(
  outputDir: string,
  clips: readonly Reconstruction[],
  step: number,
): Promise<string> {
  const folder = validationFolder(outputDir, step);
  await mkdir(folder, { recursive: true });
  for (const { name, truth, reconstruction, psnr } of clips) {
    const sheet = contactSheet([
      { label: 'truth', frames: toFrames(truth) },
      { label: `reconstruction ${psnr.toFixed(1)} dB`, frames: toFrames(reconstruction) },
    ]);
    await writePng(join(folder, `${name.replaceAll(' ', '_')}.png`), sheet);
  }
  return folder;
}
