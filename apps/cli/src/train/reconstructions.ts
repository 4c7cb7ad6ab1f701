/** Contact sheets of what the VAE makes of clips: truth over reconstruction, with its quality. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Reconstruction } from '@dwm/dwm-model/node';
import { contactSheet, writePng } from '@dwm/media/node';
import { validationFolder } from './validation.ts';

const FPS = 8;

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
      { label: 'truth', frames: { ...truth, fps: FPS } },
      { label: `reconstruction ${psnr.toFixed(1)} dB`, frames: { ...reconstruction, fps: FPS } },
    ]);
    await writePng(join(folder, `${name.replaceAll(' ', '_')}.png`), sheet);
  }
  return folder;
}
