/** COLMAP's `cameras.txt` and `images.txt`: a line a camera, two lines an image, `#` begins a comment. */
import { InvalidFileError } from '@dwm/core-tensor';
import { quote } from '@dwm/core-tensor/files';
import type { TextFile } from '../trajectory/fields.ts';
import { CAMERA_MODELS, USABLE_MODELS } from './colmap-cameras.ts';
import type { ColmapCamera, ColmapImage } from './colmap-model.ts';

const lines = (file: TextFile) => file.text.split(/\r?\n/);
const skipped = (line: string) => line.trim() === '' || line.trimStart().startsWith('#');

export function readTextCameras(file: TextFile): ColmapCamera[] {
  const cameras: ColmapCamera[] = [];
  lines(file).forEach((line, i) => {
    if (skipped(line)) return;
    const [id, name, ...words] = line.trim().split(/\s+/);
    const where = `line ${i + 1}`;
    const bad = (problem: string) => new InvalidFileError(file.name, `${where}: ${problem}`);
    const model = CAMERA_MODELS.find((known) => known.name === name);
    if (!model) throw bad(`camera model ${quote(name ?? '')}, expected one of ${USABLE_MODELS.join(', ')}`);
    const numbers = words.map(Number);
    if (numbers.length !== model.count + 2 || !numbers.every(Number.isFinite))
      throw bad(`expected CAMERA_ID ${model.name} WIDTH HEIGHT and ${model.count} numbers`);
    const [width, height, ...params] = numbers;
    cameras.push({ id, where, model, width, height, params });
  });
  return cameras;
}

export function readTextImages(file: TextFile): ColmapImage[] {
  const images: ColmapImage[] = [];
  const all = lines(file);
  for (let i = 0; i < all.length; i++) {
    if (skipped(all[i])) continue;
    const where = `line ${i + 1}`;
    const match = /^\s*\S+((?:\s+\S+){7})\s+(\S+)\s+(\S.*)$/.exec(all[i]);
    const numbers = match?.[1].trim().split(/\s+/).map(Number);
    if (!match || !numbers?.every(Number.isFinite))
      throw new InvalidFileError(
        file.name,
        `${where}: expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME`,
      );
    const [qw, qx, qy, qz, x, y, z] = numbers;
    images.push({
      name: match[3].trimEnd(),
      where,
      cameraId: match[2],
      qvec: [qw, qx, qy, qz],
      tvec: [x, y, z],
    });
    // The image's second line lists its points; it may be empty, and is none of ours either way.
    i++;
  }
  return images;
}
