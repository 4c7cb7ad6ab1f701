/**
 * PlayCanvas's SOG: `meta.json` and lossless pictures whose bytes are quantised splats, one a pixel from the top left, in the PLY's axes. A folder,
 * or a zip of it (`.sog`). Positions are 16 bits in two pictures over bounds of sign(x) ln(1 + |x|). Version 2 looks log scales and colours up in
 * codebooks of 256 and has opacities as they are; version 1, which has no `version`, spreads them over bounds and has opacities as logits.
 * Quaternions are the three smaller components and, in alpha, 252 + the number of the largest of w x y z. Harmonics are a palette: rows of 64 entries of
 * 3, 8 or 15 pixels, and a picture of 16-bit labels. Format: developer.playcanvas.com, "The SOG format".
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { type ByteSource, readZipDirectory, readZipEntry } from '@dwm/core-tensor/files';
import { checkImageSize } from '@dwm/media';
import type { Pixels } from '../scene/scene.ts';
import { Field } from '../trajectory/fields.ts';
import { decodeExactly } from './browser-pixels.ts';
import {
  allocateCloud,
  checkedCloud,
  type ShDegree,
  type SplatCloud,
  shCoefficients,
  sigmoid,
} from './cloud.ts';
import type { ReadSplatOptions } from './read-options.ts';

const PALETTE_COLUMNS = 64;
const LARGEST_TAG = 252;
/** Every picture of a zip is held in memory, unpacked and decoded. */
const MAX_BUNDLE_BYTES = 2 ** 30;
/** A codebook of 256 numbers three times, and names. */
const MAX_META_BYTES = 1 << 20;

type ReadFile = (name: string) => Promise<Uint8Array>;

/** A `.sog` file. @throws InvalidFileError for a zip without a SOG in it, and what `readSogFolder` throws. */
export async function readSogBundle(source: ByteSource, options: ReadSplatOptions): Promise<SplatCloud> {
  const { name, size } = source;
  if (size > MAX_BUNDLE_BYTES)
    throw new InvalidFileError(name, `has ${size} bytes, expected at most ${MAX_BUNDLE_BYTES}; unpack it`);
  const entries = await readZipDirectory(source);
  // The files should lie at the top; some zip their folder.
  const meta = [...entries.keys()]
    .filter((entry) => /(^|\/)meta\.json$/.test(entry))
    .sort((a, b) => a.length - b.length)[0];
  if (meta === undefined) throw new InvalidFileError(name, 'is a zip without a meta.json, expected a .sog');
  const read: ReadFile = async (entry) => {
    const found = entries.get(entry);
    if (!found)
      throw new InvalidFileError(name, `holds no ${entry}, which its meta.json names; export it again`);
    return readZipEntry(source, entry, found);
  };
  const folder = meta.slice(0, -'meta.json'.length);
  return readSog(name, await read(meta), (entry) => read(folder + entry), options);
}

/** A `meta.json` with its pictures beside it. @throws InvalidFileError, one line, naming the field or the picture. */
export async function readSogFolder(source: ByteSource, options: ReadSplatOptions): Promise<SplatCloud> {
  const { name, size } = source;
  const { readBeside } = options;
  if (size > MAX_META_BYTES)
    throw new InvalidFileError(name, `has ${size} bytes, expected a meta.json of at most ${MAX_META_BYTES}`);
  if (!readBeside)
    throw new InvalidFileError(
      name,
      'names pictures beside it, which cannot be read here: zip the folder to a .sog',
    );
  return readSog(name, await source.read(0, size), readBeside, options);
}

async function readSog(
  file: string,
  json: Uint8Array,
  read: ReadFile,
  options: ReadSplatOptions,
): Promise<SplatCloud> {
  const root = Field.parse({ name: file, text: new TextDecoder().decode(json) });
  if (!root.get('lodLevels').absent)
    throw new InvalidFileError(
      file,
      'is the index of a streamed SOG: pass the meta.json of one of its folders',
    );
  const version = root.get('version');
  const isFirst = version.absent || version.value === 1;
  if (!isFirst && version.value !== 2) throw version.error('1 or 2');
  const countField = isFirst ? root.get('means').get('shape').items()[0] : root.get('count');
  if (!countField) throw root.get('means').get('shape').error('the number of splats first');
  const count = countField.positive();
  if (!Number.isInteger(count)) throw countField.error('a whole number of splats');

  const picture = async (field: Field, index: number): Promise<Pixels> => {
    const entry = field.get('files').items()[index];
    if (!entry) throw field.get('files').error('the names of its pictures');
    const name = entry.text();
    return decode(file, name, await read(name), options);
  };
  const perSplat = async (field: Field, index: number): Promise<Uint8Array> => {
    const { width, height, data } = await picture(field, index);
    if (width * height >= count) return data;
    throw field.get('files').error(`pictures of ${count} pixels or more, not ${width}x${height}`);
  };

  const means = root.get('means');
  const [low, high] = [await perSplat(means, 0), await perSplat(means, 1)];
  const palette = root.get('shN').absent ? undefined : await readPalette(root.get('shN'), isFirst, picture);
  const antialias = root.get('antialias');
  const cloud = allocateCloud(file, count, palette?.degree ?? 0, {
    antialiased: !antialias.absent && antialias.boolean(),
  });
  const { positions, scales, rotations, opacities, sh } = cloud;
  const step = 3 * shCoefficients(cloud.degree);

  const bounds = [means.get('mins').numbers(3), means.get('maxs').numbers(3)];
  for (let i = 0; i < 3 * count; i++) {
    const at = 4 * Math.floor(i / 3) + (i % 3);
    const part = (low[at] + 256 * high[at]) / 65535;
    const value = bounds[0][i % 3] * (1 - part) + bounds[1][i % 3] * part;
    positions[i] = Math.sign(value) * Math.expm1(Math.abs(value));
  }

  const sizes = await perSplat(root.get('scales'), 0);
  const logScale = lookup(root.get('scales'), isFirst, 3);
  for (let i = 0; i < 3 * count; i++)
    scales[i] = Math.exp(logScale(i % 3, sizes[4 * Math.floor(i / 3) + (i % 3)]));

  const turns = await perSplat(root.get('quats'), 0);
  for (let i = 0; i < count; i++) unpackRotation(turns, i, rotations);

  const colors = await perSplat(root.get('sh0'), 0);
  const color = lookup(root.get('sh0'), isFirst, 4);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) sh[step * i + c] = color(c, colors[4 * i + c]);
    const alpha = colors[4 * i + 3];
    opacities[i] = isFirst ? sigmoid(color(3, alpha)) : alpha / 255;
  }
  if (palette) spreadPalette(palette, await perSplat(root.get('shN'), 1), cloud);
  return checkedCloud(file, cloud, options);
}

async function decode(
  file: string,
  name: string,
  bytes: Uint8Array,
  { decodeImage = decodeExactly }: ReadSplatOptions,
): Promise<Pixels> {
  // A lossy picture decodes to other numbers than were written.
  if (String.fromCharCode(...bytes.subarray(8, 16)) === 'WEBPVP8 ')
    throw new InvalidFileError(
      file,
      `its picture ${name} was compressed with loss, expected a lossless WebP: export it again`,
    );
  const imageName = `${file}: ${name}`;
  const { format, width, height } = checkImageSize(imageName, bytes);
  try {
    return await decodeImage({ name: imageName, bytes, mimeType: `image/${format}`, width, height });
  } catch (error) {
    if (error instanceof InvalidFileError) throw error;
    throw new InvalidFileError(file, `its picture ${name} is damaged; copy it again`);
  }
}

/** What a byte of channel `c` stands for: an entry of the codebook, or a place between bounds. */
function lookup(field: Field, isFirst: boolean, channels: number): (c: number, byte: number) => number {
  if (!isFirst) {
    const codebook = readCodebook(field.get('codebook'));
    return (_, byte) => codebook[byte];
  }
  const [mins, maxs] = ['mins', 'maxs'].map((name) => field.get(name).numbers(channels));
  return (c, byte) => mins[c] + ((maxs[c] - mins[c]) * byte) / 255;
}

/** Some writers left the first entry out as null; the others are evenly spread there. */
function readCodebook(field: Field): Float64Array {
  const all = field.items(256);
  if (!all[0].absent) return field.numbers(256);
  const [second, last] = [all[1].number(), all[255].number()];
  return Float64Array.from(all, (entry, i) => (i === 0 ? second + (second - last) / 255 : entry.number()));
}

interface Palette {
  readonly degree: ShDegree;
  readonly entries: number;
  readonly pixels: Pixels;
  readonly value: (byte: number) => number;
}

async function readPalette(
  field: Field,
  isFirst: boolean,
  picture: (field: Field, index: number) => Promise<Pixels>,
): Promise<Palette | undefined> {
  const pixels = await picture(field, 0);
  const degree = [3, 8, 15].indexOf(pixels.width / PALETTE_COLUMNS) + 1;
  const expected = isFirst ? degree : field.get('bands').number();
  if (!isFirst && expected === 0) return undefined;
  if (degree < 1 || degree !== expected)
    throw field
      .get(isFirst ? 'files' : 'bands')
      .error(`a palette of 192, 512 or 960 pixels a row for degree 1, 2 or 3, not ${pixels.width}`);
  const room = PALETTE_COLUMNS * pixels.height;
  if (isFirst) {
    const [least, most] = [field.get('mins').number(), field.get('maxs').number()];
    const value = (byte: number) => least + ((most - least) * byte) / 255;
    return { degree: degree as ShDegree, entries: room, pixels, value };
  }
  const codebook = readCodebook(field.get('codebook'));
  const entries = field.get('count').positive();
  if (entries > room) throw field.get('count').error(`at most the ${room} entries of its palette`);
  return { degree: degree as ShDegree, entries, pixels, value: (byte) => codebook[byte] };
}

/** A label beyond the palette makes its splat a damaged one. */
function spreadPalette({ entries, pixels, value }: Palette, labels: Uint8Array, cloud: SplatCloud): void {
  const { count, degree, sh } = cloud;
  const rest = shCoefficients(degree) - 1;
  for (let i = 0; i < count; i++) {
    const label = labels[4 * i] + 256 * labels[4 * i + 1];
    const row = Math.floor(label / PALETTE_COLUMNS) * pixels.width;
    const from = 4 * (row + (label % PALETTE_COLUMNS) * rest);
    for (let k = 0; k < rest; k++)
      for (let c = 0; c < 3; c++)
        sh[3 * ((rest + 1) * i + k + 1) + c] =
          label < entries ? value(pixels.data[from + 4 * k + c]) : Number.NaN;
  }
}

/** Another alpha than those of the four tags makes the splat a damaged one. */
function unpackRotation(pixels: Uint8Array, i: number, into: Float32Array): void {
  const largest = pixels[4 * i + 3] - LARGEST_TAG;
  let [from, sum] = [4 * i, 0];
  for (let k = 0; k < 4; k++) {
    if (k === largest) continue;
    const value = (pixels[from++] / 255 - 0.5) * Math.SQRT2;
    into[4 * i + k] = value;
    sum += value * value;
  }
  if (largest >= 0) into[4 * i + largest] = Math.sqrt(Math.max(0, 1 - sum));
  else into[4 * i] = Number.NaN;
}

/** Whether these are the first bytes of JSON; of all splat files only SOG's are. */
export const isSogMeta = (head: Uint8Array): boolean =>
  /^(\u00ef\u00bb\u00bf)?\s*\{/.test(String.fromCharCode(...head));

export const isZip = (head: Uint8Array): boolean => head[0] === 0x50 && head[1] === 0x4b && head[2] <= 8;
