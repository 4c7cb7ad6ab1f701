/** Parts of a picture as a network takes them: square, f32 from 0 to 1, sampled bilinearly at pixel centres. */
import type { Picture, Region } from './types.ts';

/** What is seen outside a picture: the colour of its edge, or black. */
type Outside = 'edge' | 'black';

/** The region [size, size, 3], turned upright. */
export function cropRegion(picture: Picture, region: Region, size: number, outside: Outside): Float32Array {
  const { data, width, height } = picture;
  const step = region.size / size;
  const [cosine, sine] = [Math.cos(region.angle) * step, Math.sin(region.angle) * step];
  const out = new Float32Array(size * size * 3);
  const inside = (value: number, most: number) => Math.min(Math.max(value, 0), most);
  for (let row = 0, to = 0; row < size; row++)
    for (let column = 0; column < size; column++, to += 3) {
      const [across, along] = [column + 0.5 - size / 2, row + 0.5 - size / 2];
      const [u, v] = [region.x + cosine * across - sine * along, region.y + sine * across + cosine * along];
      if (outside === 'black' && !(u >= 0 && v >= 0 && u < width && v < height)) continue;
      const [x, y] = [inside(u - 0.5, width - 1), inside(v - 0.5, height - 1)];
      const [left, top] = [Math.floor(x), Math.floor(y)];
      const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)];
      const [a, b] = [x - left, y - top];
      const [nw, ne] = [(top * width + left) * 3, (top * width + right) * 3];
      const [sw, se] = [(bottom * width + left) * 3, (bottom * width + right) * 3];
      for (let c = 0; c < 3; c++) {
        const upper = data[nw + c] * (1 - a) + data[ne + c] * a;
        const lower = data[sw + c] * (1 - a) + data[se + c] * a;
        out[to + c] = (upper * (1 - b) + lower * b) / 255;
      }
    }
  return out;
}
