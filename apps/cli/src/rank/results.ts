/** A ranking for people: lines for the terminal, and a contact sheet of candidate | simulated outcome | goal; its files. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '@dwm/core-tensor/node';
import type { Video } from '@dwm/dwm-model';
import { handPixels } from '@dwm/dwm-model/metrics';
import type { Ranked } from '@dwm/dwm-model/ranking';
import { contactSheet, type Frames, frameAt, type RgbImage, writePng, writeVideo } from '@dwm/media/node';
import { stemOf } from './candidates.ts';

export function rankingText(ranked: readonly Ranked[]): string {
  const width = Math.max(...ranked.map(({ name }) => name.length));
  return ranked
    .map(({ name, distance, distances, probabilityBest }, i) => {
      const { mean, low, high } = distance;
      const interval =
        distances.length > 1
          ? `  95% ${low.toFixed(4)} to ${high.toFixed(4)}, best in ${Math.round(100 * probabilityBest)}% of resamples`
          : '';
      return `${i + 1}. ${name.padEnd(width)}  ${mean.toFixed(4)}${interval}`;
    })
    .join('\n');
}

/** The frame that shows most of the hands, on the scene at that moment. */
function handFrame(handVideo: Video, staticVideo: Video): Uint8Array {
  const mask = handPixels(handVideo);
  const pixels = handVideo.height * handVideo.width;
  const counts = Array.from({ length: handVideo.frames }, (_, f) =>
    mask.subarray(f * pixels, (f + 1) * pixels).reduce((a, b) => a + b, 0),
  );
  const f = counts.indexOf(Math.max(...counts));
  const data = staticVideo.data.slice(3 * f * pixels, 3 * (f + 1) * pixels);
  for (let p = 0; p < pixels; p++) {
    const from = 3 * (f * pixels + p);
    if (mask[f * pixels + p] === 1) data.set(handVideo.data.subarray(from, from + 3), 3 * p);
  }
  return data;
}

/** @param goal of frames the last is shown; words stand above in its place. */
export function rankingSheet(
  ranked: readonly Ranked[],
  candidates: readonly { handVideo: Video }[],
  staticVideo: Video,
  goal: Video | string,
): RgbImage {
  const { height, width } = staticVideo;
  const last = (clip: Video) => frameAt({ ...clip, fps: 1 }, clip.frames - 1).data;
  const [wanted, title] = typeof goal === 'string' ? [[], `goal: ${goal}`] : [[last(goal)], undefined];
  const rows = ranked.map(({ name, index, outcome, distance }, i) => {
    const hands = handFrame(candidates[index].handVideo, staticVideo);
    const pictures = [hands, last(outcome), ...wanted];
    const data = new Uint8Array(pictures.length * hands.length);
    pictures.forEach((picture, p) => {
      data.set(picture, p * picture.length);
    });
    const frames: Frames = { data, frames: pictures.length, height, width, fps: 1 };
    return { label: `${i + 1} ${name} ${distance.mean.toFixed(4)}`, frames };
  });
  return contactSheet(rows, { columns: 3, cellWidth: Math.max(180, Math.min(width, 360)), title });
}

/** File of a candidate's clip. */
export const clipName = ({ name }: Ranked): string => `${stemOf(name)}.mp4`;

/** Writes ranking.json, the sheet and a clip of each candidate. */
export async function writeRanking(
  folder: string,
  ranked: readonly Ranked[],
  fps: number,
  sheet: RgbImage,
  result: object,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writePng(join(folder, 'sheet.png'), sheet);
  for (const each of ranked) await writeVideo(join(folder, clipName(each)), { ...each.outcome, fps });
  await writeFileAtomic(join(folder, 'ranking.json'), `${JSON.stringify(result, undefined, 1)}\n`);
}
