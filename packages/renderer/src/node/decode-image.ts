/**
 * Pictures of a scene in Node: PNG exactly, JPEG and WebP through FFmpeg's decoders, whose own RGB conversion is
 * not used (it is off for full-range pictures).
 */
import { installWebCodecs, yuvToRgb } from '@dwm/media/node';
import { PNG } from 'pngjs';
import type { DecodeImage } from '../gpu/texture-cache.ts';
import type { Pixels } from '../scene/scene.ts';

export const decodeImage: DecodeImage = async ({ bytes, mimeType }) => {
  if (mimeType === 'image/png') {
    const { width, height, data } = PNG.sync.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    return { width, height, data };
  }
  await installWebCodecs();
  const decoder = new ImageDecoder({ data: bytes as Uint8Array<ArrayBuffer>, type: mimeType });
  // The decoder works on a thread that does not keep Node alive.
  const alive = setInterval(() => {}, 1000);
  try {
    const { image } = await decoder.decode();
    try {
      return await rgba(image);
    } finally {
      image.close();
    }
  } finally {
    clearInterval(alive);
    decoder.close();
  }
};

const SHIFTS: Record<string, readonly [0 | 1, 0 | 1]> = {
  I420: [1, 1],
  I420A: [1, 1],
  I422: [1, 0],
  I422A: [1, 0],
  I444: [0, 0],
  I444A: [0, 0],
};

async function rgba(frame: VideoFrame): Promise<Pixels> {
  const { format } = frame;
  // What `copyTo` copies; JPEG's blocks may make the coded picture larger.
  const width = frame.visibleRect?.width ?? frame.codedWidth;
  const height = frame.visibleRect?.height ?? frame.codedHeight;
  const bytes = new Uint8Array(frame.allocationSize());
  const layout = await frame.copyTo(bytes);
  const data = new Uint8Array(width * height * 4).fill(255);
  if (format && /^(RGB|BGR)[AX]$/.test(format)) {
    const { offset, stride } = layout[0];
    const order = format.startsWith('RGB') ? [0, 1, 2] : [2, 1, 0];
    for (let i = 0; i < width * height; i++) {
      const at = offset + Math.floor(i / width) * stride + (i % width) * 4;
      for (let c = 0; c < 3; c++) data[i * 4 + c] = bytes[at + order[c]];
      if (format.endsWith('A')) data[i * 4 + 3] = bytes[at + 3];
    }
    return { width, height, data };
  }
  const shifts = SHIFTS[format ?? ''];
  if (!shifts) throw new Error(`its pixels are ${format ?? 'of an unknown kind'}; save it as PNG`);
  const [y, u, v, a] = layout;
  const rgb = new Uint8Array(width * height * 3);
  yuvToRgb(
    {
      y: bytes.subarray(y.offset),
      u: bytes.subarray(u.offset),
      v: bytes.subarray(v.offset),
      yStride: y.stride,
      uStride: u.stride,
      vStride: v.stride,
      step: 1,
      shiftX: shifts[0],
      shiftY: shifts[1],
      bitDepth: 8,
    },
    height,
    width,
    // JPEG is always full range, WebP always limited; both are BT.601.
    { matrix: 'bt601', fullRange: frame.colorSpace.fullRange ?? false },
    rgb,
  );
  for (let i = 0; i < width * height; i++) {
    data.set(rgb.subarray(i * 3, i * 3 + 3), i * 4);
    if (a) data[i * 4 + 3] = bytes[a.offset + Math.floor(i / width) * a.stride + (i % width)];
  }
  return { width, height, data };
}
