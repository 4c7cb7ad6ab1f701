/**
 * One decoded sample to RGB: reads the decoder's native planes whatever their layout, converts them with our
 * own formulas, and turns the picture upright where the file says it was filmed rotated. The decoders' own
 * RGBA output is used only when that is the native format, because their YUV conversions are not reliable.
 */
import { DwmError } from '@dwm/core-tensor';
import type { VideoSample } from 'mediabunny';
import { completeChroma, lacksChroma, type PackedRgb } from './chroma-edge.ts';
import { type YuvPlanes, type YuvSpace, yuvToRgb } from './color.ts';
import type { RgbImage } from './frames.ts';

/** The colour tags of a track, in WebCodecs' words; a missing tag means "not said". */
interface ColorTags {
  matrix?: string | null;
  fullRange?: boolean | null;
}

/** Untagged means BT.601 limited range; throws DwmError for a matrix that is not Y'CbCr. */
export function yuvSpaceOf(tags: ColorTags): YuvSpace {
  const fullRange = tags.fullRange ?? false;
  switch (tags.matrix ?? 'smpte170m') {
    case 'smpte170m':
    case 'bt470bg':
      return { matrix: 'bt601', fullRange };
    case 'bt709':
      return { matrix: 'bt709', fullRange };
    case 'bt2020-ncl':
      return { matrix: 'bt2020', fullRange };
    default:
      throw new DwmError(
        'unsupported-pixels',
        `colour matrix ${tags.matrix} is not read, only BT.601, BT.709 and BT.2020`,
      );
  }
}

/** Height and width of the sample once upright. */
export function uprightSize(sample: VideoSample): { height: number; width: number } {
  const { height, width } = sample.visibleRect;
  return sample.rotation % 180 === 0 ? { height, width } : { height: width, width: height };
}

/** Converts samples of one track, keeping one scratch buffer for all of them. */
export class SampleReader {
  readonly #space: YuvSpace;
  #scratch = new Uint8Array(0);

  constructor(tags: ColorTags) {
    this.#space = yuvSpaceOf(tags);
  }

  /** Writes the upright picture into `out` ([height, width, 3] of `uprightSize`). */
  async rgb(sample: VideoSample, out: Uint8Array): Promise<void> {
    const { height, width } = sample.visibleRect;
    const upright = sample.rotation === 0 && !sample.flip;
    const target = upright ? out : new Uint8Array(height * width * 3);
    const bytes = sample.allocationSize();
    if (this.#scratch.length < bytes) this.#scratch = new Uint8Array(bytes);
    const layout = await sample.copyTo(this.#scratch);
    const format = sample.format ?? 'unknown';
    if (/^(RGB|BGR)[AX]$/.test(format)) {
      packedToRgb(this.#scratch, layout[0], height, width, format.startsWith('BGR'), target);
    } else {
      const bytesPerSample = /P1[02]$/.test(format) ? 2 : 1;
      const handed = (layout[2]?.offset ?? bytes) - layout[1].offset;
      let planes = planesOf(format, this.#scratch, layout);
      if (lacksChroma(planes, height, width, handed / bytesPerSample))
        planes = completeChroma(planes, height, width, await packedRgb(sample));
      yuvToRgb(planes, height, width, this.#space, target);
    }
    if (!upright) orient({ data: target, height, width }, sample.rotation, sample.flip, out);
  }
}

/** The decoder's own RGB, which is right only by chance, but has every column and row. */
async function packedRgb(sample: VideoSample): Promise<PackedRgb> {
  const data = new Uint8Array(sample.allocationSize({ format: 'RGBA' }));
  const [{ stride }] = await sample.copyTo(data, { format: 'RGBA' });
  return { data, stride };
}

function planesOf(format: string, buffer: Uint8Array, layout: PlaneLayout[]): YuvPlanes {
  if (format === 'NV12') {
    const [luma, chroma] = layout;
    return {
      y: buffer.subarray(luma.offset),
      u: buffer.subarray(chroma.offset),
      v: buffer.subarray(chroma.offset + 1),
      yStride: luma.stride,
      uStride: chroma.stride,
      vStride: chroma.stride,
      step: 2,
      shiftX: 1,
      shiftY: 1,
      bitDepth: 8,
    };
  }
  const planar = /^I(420|422|444)A?(?:P(10|12))?$/.exec(format);
  if (!planar) {
    throw new DwmError(
      'unsupported-pixels',
      `pixel format ${format} is not read; re-encode: ffmpeg -i in.mp4 -pix_fmt yuv420p out.mp4`,
    );
  }
  const bitDepth = Number(planar[2] ?? 8);
  const sampleBytes = bitDepth > 8 ? 2 : 1;
  const samples =
    sampleBytes === 2 ? new Uint16Array(buffer.buffer, buffer.byteOffset, buffer.length >> 1) : buffer;
  const [y, u, v] = layout;
  return {
    y: samples.subarray(y.offset / sampleBytes),
    u: samples.subarray(u.offset / sampleBytes),
    v: samples.subarray(v.offset / sampleBytes),
    yStride: y.stride / sampleBytes,
    uStride: u.stride / sampleBytes,
    vStride: v.stride / sampleBytes,
    step: 1,
    shiftX: planar[1] === '444' ? 0 : 1,
    shiftY: planar[1] === '420' ? 1 : 0,
    bitDepth,
  };
}

function packedToRgb(
  buffer: Uint8Array,
  layout: PlaneLayout,
  height: number,
  width: number,
  blueFirst: boolean,
  out: Uint8Array,
): void {
  const red = blueFirst ? 2 : 0;
  let o = 0;
  for (let row = 0; row < height; row++) {
    let i = layout.offset + row * layout.stride;
    for (let column = 0; column < width; column++, i += 4) {
      out[o++] = buffer[i + red];
      out[o++] = buffer[i + 1];
      out[o++] = buffer[i + 2 - red];
    }
  }
}

/** Rotates clockwise by 0, 90, 180 or 270 degrees, then mirrors left to right if `flip`. */
export function orient(image: RgbImage, rotation: number, flip: boolean, out: Uint8Array): void {
  const { data, height, width } = image;
  const turned = rotation % 180 !== 0;
  const outHeight = turned ? width : height;
  const outWidth = turned ? height : width;
  let o = 0;
  for (let row = 0; row < outHeight; row++) {
    for (let column = 0; column < outWidth; column++) {
      const c = flip ? outWidth - 1 - column : column;
      let from: number;
      if (rotation === 90) from = (height - 1 - c) * width + row;
      else if (rotation === 180) from = (height - 1 - row) * width + (width - 1 - c);
      else if (rotation === 270) from = c * width + (width - 1 - row);
      else from = row * width + c;
      out[o++] = data[from * 3];
      out[o++] = data[from * 3 + 1];
      out[o++] = data[from * 3 + 2];
    }
  }
}
