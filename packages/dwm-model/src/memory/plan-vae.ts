/** Tiles of the VAE that fit. */
import type { VaeOptions } from '../vae/index.ts';
import { within } from './refusal.ts';

/** Tiles of the VAE in pixels, from the usual half of 480x720 down; multiples of 48 rows and 40 columns add up. */
export const TILES: readonly (readonly [height: number, width: number])[] = [
  [240, 360],
  [192, 320],
  [144, 240],
  [96, 160],
  [96, 120],
  [48, 80],
  [48, 40],
];

export interface VaePlan {
  readonly tiling: VaeOptions['tiling'];
  readonly bytes: number;
  readonly flops: number;
  readonly chosen: string;
}

/** The usual tiles, or the largest that fit in `room`; the smallest where none does. */
export function planVae(
  estimate: (tiling: VaeOptions['tiling']) => { bytes: number; flops: number },
  usual: VaeOptions['tiling'],
  room: number,
  refusals: string[],
): VaePlan | undefined {
  const first = within(() => estimate(usual), refusals);
  const name = usual === false ? 'whole frames' : 'usual tiles';
  if (first && first.bytes <= room) return { ...first, tiling: usual, chosen: name };
  let smallest: VaePlan | undefined;
  let perPixel = 0;
  for (const [height, width] of TILES) {
    // Memory goes with the area; what is far off is not planned.
    const isLast = height === TILES.at(-1)![0] && width === TILES.at(-1)![1];
    if (perPixel * height * width > 1.3 * room && !isLast) continue;
    const tiling = { tileSampleMinHeight: height, tileSampleMinWidth: width };
    const found = within(() => estimate(tiling), refusals);
    if (!found) continue;
    perPixel = found.bytes / (height * width);
    const plan = { ...found, tiling, chosen: `tiles of ${width}x${height}` };
    if (found.bytes <= room) return plan;
    smallest = plan;
  }
  return smallest ?? (first && { ...first, tiling: usual, chosen: name });
}
