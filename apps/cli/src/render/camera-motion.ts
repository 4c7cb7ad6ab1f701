/**
 * Whether the camera of a video moves. The first frame and a later one are cut into blocks; each with some texture looks in the later frame for the
 * shift at which it is correlated best, which neither exposure nor contrast changes. Hands and what they hold move few of the blocks, a
 * camera most of them.
 */
import { type RgbImage, resizeSmooth } from '@dwm/media/node';

/** The width that pictures are brought to; a block is a tenth of it, and shifts are searched up to half a block. */
const WIDTH = 160;
const BLOCK = 16;
const REACH = 8;

/** Grey levels of standard deviation: less is a wall or the sky, which looks the same wherever it is. */
const TEXTURE = 5;
/** A block has stayed where its correlation in place is this good, within this many pixels of its best place. */
const ALIKE = 0.6;
const STAYED = 1.5;
/** More than any pair of hands covers. */
const MOST = 0.5;
const FEWEST_BLOCKS = 6;

interface CameraMotion {
  /** Share of the textured blocks that are elsewhere, or gone. */
  readonly share: number;
  /** Median shift of those that were found again, by the picture's width; 0 if none was. */
  readonly shift: number;
}

interface Grey {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

function grey(image: RgbImage): Grey {
  const height = Math.max(BLOCK, Math.round((image.height * WIDTH) / image.width));
  const { data } = resizeSmooth(image, height, WIDTH);
  const values = Float32Array.from(
    { length: WIDTH * height },
    (_, i) => 0.299 * data[3 * i] + 0.587 * data[3 * i + 1] + 0.114 * data[3 * i + 2],
  );
  return { width: WIDTH, height, data: values };
}

/** @returns undefined where the camera stands still, or the picture has too little in it to tell. */
export function cameraMotion(first: RgbImage, later: RgbImage): CameraMotion | undefined {
  const [from, to] = [grey(first), grey(later)];
  let textured = 0;
  let gone = 0;
  const shifts: number[] = [];
  for (let y = 0; y + BLOCK <= from.height; y += BLOCK)
    for (let x = 0; x + BLOCK <= from.width; x += BLOCK) {
      const block = blockAt(from, x, y);
      if (!block) continue;
      textured++;
      const place = bestShift(block, to, x, y);
      if (place === undefined) gone++;
      else if (place >= STAYED) shifts.push(place);
    }
  const share = (gone + shifts.length) / Math.max(1, textured);
  if (textured < FEWEST_BLOCKS || share <= MOST) return undefined;
  shifts.sort((a, b) => a - b);
  return { share, shift: (shifts[shifts.length >> 1] ?? 0) / WIDTH };
}

/** A block less its mean, at length one; `undefined` without texture. */
function blockAt({ width, data }: Grey, x: number, y: number): Float32Array | undefined {
  const block = new Float32Array(BLOCK * BLOCK);
  for (let row = 0; row < BLOCK; row++) {
    const at = (y + row) * width + x;
    block.set(data.subarray(at, at + BLOCK), row * BLOCK);
  }
  const mean = block.reduce((sum, value) => sum + value, 0) / block.length;
  const norm = Math.sqrt(block.reduce((sum, value) => sum + (value - mean) ** 2, 0));
  return norm < TEXTURE * BLOCK ? undefined : block.map((value) => (value - mean) / norm);
}

/** The correlation of a block with the one at a place, -1 to 1. */
function correlation(block: Float32Array, { width, height, data }: Grey, x: number, y: number): number {
  if (x < 0 || y < 0 || x + BLOCK > width || y + BLOCK > height) return -1;
  let [sum, squares, product] = [0, 0, 0];
  for (let row = 0; row < BLOCK; row++)
    for (let column = 0, at = (y + row) * width + x; column < BLOCK; column++, at++) {
      const value = data[at];
      sum += value;
      squares += value * value;
      product += value * block[row * BLOCK + column];
    }
  // The block has no mean, so neither need the other.
  const variance = squares - (sum * sum) / block.length;
  return variance > 1 ? product / Math.sqrt(variance) : -1;
}

/** How far off the block is found again, in pixels; 0 where its own place will do. `undefined` where it is nowhere near. */
function bestShift(block: Float32Array, to: Grey, x: number, y: number): number | undefined {
  const likeness = (dx: number, dy: number) => correlation(block, to, x + dx, y + dy);
  let best = { likeness: likeness(0, 0), distance: 0 };
  if (best.likeness > 0.95) return 0;
  for (let dy = -REACH; dy <= REACH; dy++)
    for (let dx = -REACH; dx <= REACH; dx++) {
      const found = likeness(dx, dy);
      // Places that are alike are told apart by being near.
      if (found > best.likeness + 0.02) best = { likeness: found, distance: Math.hypot(dx, dy) };
    }
  return best.likeness < ALIKE ? undefined : best.distance;
}
