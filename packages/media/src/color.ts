/**
 * Y'CbCr <-> R'G'B' by the formulas of ITU-R BT.601, BT.709 and BT.2020, on the decoder's own planes. With
 * luma weights Kr, Kb and Kg = 1 - Kr - Kb, y in [0, 1] and cb, cr in [-0.5, 0.5]:
 *
 *   R = y + 2(1 - Kr) cr      B = y + 2(1 - Kb) cb      G = y - 2(1 - Kb)Kb/Kg cb - 2(1 - Kr)Kr/Kg cr
 *
 * Limited range codes y as 16..235 and chroma as 16..240; full range uses every code. Results are the exact
 * values rounded to the nearest integer and clamped. Subsampled chroma is repeated, not interpolated: that is
 * what FFmpeg's default 8-bit path does, and so what OpenCV and decord give for the same file (to 1-2 levels:
 * their arithmetic is fixed-point).
 */

export type YuvMatrix = 'bt601' | 'bt709' | 'bt2020';

/** How codes map to light-independent R'G'B'. */
export interface YuvSpace {
  matrix: YuvMatrix;
  fullRange: boolean;
}

/** One decoded picture: strides in samples, chroma `step` 2 where Cb and Cr alternate (NV12). */
export interface YuvPlanes {
  y: Uint8Array | Uint16Array;
  u: Uint8Array | Uint16Array;
  v: Uint8Array | Uint16Array;
  yStride: number;
  uStride: number;
  vStride: number;
  step: 1 | 2;
  /** log2 of the horizontal and vertical subsampling: (1, 1) for 4:2:0, (0, 0) for 4:4:4. */
  shiftX: 0 | 1;
  shiftY: 0 | 1;
  bitDepth: number;
}

const lumaWeights: Record<YuvMatrix, { kr: number; kb: number }> = {
  bt601: { kr: 0.299, kb: 0.114 },
  bt709: { kr: 0.2126, kb: 0.0722 },
  bt2020: { kr: 0.2627, kb: 0.0593 },
};

interface Tables {
  luma: Float64Array;
  crToR: Float64Array;
  cbToB: Float64Array;
  crToG: Float64Array;
  cbToG: Float64Array;
}

const tableCache = new Map<string, Tables>();

/** Each code's share of R, G and B in 8-bit units, so that a pixel costs table reads and additions only. */
function tablesFor(space: YuvSpace, bitDepth: number): Tables {
  const key = `${space.matrix} ${space.fullRange} ${bitDepth}`;
  const known = tableCache.get(key);
  if (known) return known;
  const { kr, kb } = lumaWeights[space.matrix];
  const kg = 1 - kr - kb;
  const codes = 2 ** bitDepth;
  const unit = codes / 256;
  const black = space.fullRange ? 0 : 16 * unit;
  const lumaSpan = space.fullRange ? codes - 1 : 219 * unit;
  const chromaSpan = space.fullRange ? codes - 1 : 224 * unit;
  const tables: Tables = {
    luma: new Float64Array(codes),
    crToR: new Float64Array(codes),
    cbToB: new Float64Array(codes),
    crToG: new Float64Array(codes),
    cbToG: new Float64Array(codes),
  };
  for (let code = 0; code < codes; code++) {
    const chroma = (255 * (code - codes / 2)) / chromaSpan;
    tables.luma[code] = (255 * (code - black)) / lumaSpan;
    tables.crToR[code] = 2 * (1 - kr) * chroma;
    tables.cbToB[code] = 2 * (1 - kb) * chroma;
    tables.crToG[code] = (-2 * (1 - kr) * kr * chroma) / kg;
    tables.cbToG[code] = (-2 * (1 - kb) * kb * chroma) / kg;
  }
  tableCache.set(key, tables);
  return tables;
}

/** Writes the picture as RGB into `out` ([height, width, 3]). */
export function yuvToRgb(
  planes: YuvPlanes,
  height: number,
  width: number,
  space: YuvSpace,
  out: Uint8Array,
): void {
  const { luma, crToR, cbToB, crToG, cbToG } = tablesFor(space, planes.bitDepth);
  const { y, u, v, step, shiftX, shiftY } = planes;
  // The clamped view rounds to nearest and clamps to 0..255 on store.
  const clamped = new Uint8ClampedArray(out.buffer, out.byteOffset, out.length);
  let o = 0;
  for (let row = 0; row < height; row++) {
    const yRow = row * planes.yStride;
    const uRow = (row >> shiftY) * planes.uStride;
    const vRow = (row >> shiftY) * planes.vStride;
    for (let column = 0; column < width; column++) {
      const light = luma[y[yRow + column]];
      const chroma = (column >> shiftX) * step;
      const cb = u[uRow + chroma];
      const cr = v[vRow + chroma];
      clamped[o++] = light + crToR[cr];
      clamped[o++] = light + cbToG[cb] + crToG[cr];
      clamped[o++] = light + cbToB[cb];
    }
  }
}

/** Bytes of an I420 picture; both sizes must be even. */
export function i420Bytes(height: number, width: number): number {
  return (height * width * 3) / 2;
}

/**
 * RGB [height, width, 3] to I420 (Y, then Cb, then Cr), BT.601 limited range. Chroma is the mean of each 2x2
 * block, which is the right partner of repeating it on the way back. Odd sizes grow by one repeated row or
 * column, because 4:2:0 H.264 encoders take even sizes only: `out` holds i420Bytes(even height, even width).
 */
export function rgbToI420(rgb: Uint8Array, height: number, width: number, out: Uint8Array): void {
  const { kr, kb } = lumaWeights.bt601;
  const kg = 1 - kr - kb;
  const outHeight = height + (height % 2);
  const outWidth = width + (width % 2);
  const chromaWidth = outWidth / 2;
  const uStart = outHeight * outWidth;
  const vStart = uStart + uStart / 4;
  const cbScale = 224 / (255 * 2 * (1 - kb));
  const crScale = 224 / (255 * 2 * (1 - kr));
  for (let row = 0; row < outHeight; row += 2) {
    for (let column = 0; column < outWidth; column += 2) {
      let red = 0;
      let blue = 0;
      let light = 0;
      for (let corner = 0; corner < 4; corner++) {
        const r = row + (corner >> 1);
        const c = column + (corner & 1);
        const i = (Math.min(r, height - 1) * width + Math.min(c, width - 1)) * 3;
        const luma = kr * rgb[i] + kg * rgb[i + 1] + kb * rgb[i + 2];
        out[r * outWidth + c] = Math.round(16 + (219 / 255) * luma);
        red += rgb[i];
        blue += rgb[i + 2];
        light += luma;
      }
      const at = (row >> 1) * chromaWidth + (column >> 1);
      out[uStart + at] = Math.round(128 + (cbScale * (blue - light)) / 4);
      out[vStart + at] = Math.round(128 + (crScale * (red - light)) / 4);
    }
  }
}
