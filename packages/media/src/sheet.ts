/**
 * Clips as still pictures and as one wide clip, for looking at results: a contact sheet has one labelled strip
 * per clip, the same moments under one another; `sideBySide` is the comparison video.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { drawText, glyphAdvance, glyphHeight, wrapText } from './font.ts';
import { checkFrames, type Frames, frameAt, type RgbImage } from './frames.ts';

const labelScale = 2;
const labelMargin = 4;
const gap = 4;
const background = 32;

/**
 * One strip per row: its label, then `columns` (default 8) frames evenly spaced in time, the first and the last
 * included, each scaled to `cellWidth` (default 180) pixels. Never more columns than the longest clip has frames.
 * Above them stands `title`, in as many lines as it takes.
 */
export function contactSheet(
  rows: readonly { label: string; frames: Frames }[],
  options: { columns?: number; cellWidth?: number; title?: string } = {},
): RgbImage {
  if (rows.length === 0) throw new InvalidArgumentError('rows', 'is empty, expected at least one strip');
  for (const row of rows) checkFrames(`rows "${row.label}"`, row.frames);
  const columns = Math.min(options.columns ?? 8, Math.max(...rows.map((row) => row.frames.frames)));
  const cellWidth = options.cellWidth ?? 180;
  if (!Number.isInteger(columns) || columns < 1) {
    throw new InvalidArgumentError('columns', `must be a positive integer, got ${columns}`);
  }
  if (!Number.isInteger(cellWidth) || cellWidth < 1) {
    throw new InvalidArgumentError('cellWidth', `must be a positive number of pixels, got ${cellWidth}`);
  }
  const labelHeight = glyphHeight * labelScale + 2 * labelMargin;
  const cellHeights = rows.map(({ frames }) =>
    Math.max(1, Math.round((cellWidth * frames.height) / frames.width)),
  );
  const width = columns * (cellWidth + gap) + gap;
  const title = wrapText(options.title ?? '', Math.floor((width - 2 * gap) / (glyphAdvance * labelScale)));
  const height = cellHeights.reduce(
    (sum, cell) => sum + labelHeight + cell,
    gap + title.length * labelHeight,
  );
  const sheet: RgbImage = { data: new Uint8Array(height * width * 3).fill(background), height, width };
  let top = 0;
  for (const line of title) {
    drawText(sheet, line, gap, top + labelMargin, labelScale);
    top += labelHeight;
  }
  rows.forEach(({ label, frames }, r) => {
    drawText(sheet, label, gap, top + labelMargin, labelScale);
    top += labelHeight;
    for (let column = 0; column < columns; column++) {
      const index = columns === 1 ? 0 : Math.round((column * (frames.frames - 1)) / (columns - 1));
      const cell = resizeArea(frameAt(frames, index), cellHeights[r], cellWidth);
      paste(cell, sheet, top, gap + column * (cellWidth + gap));
    }
    top += cellHeights[r];
  });
  return sheet;
}

/**
 * Clips next to one another, left to right, at the first one's rate.
 * @throws InvalidArgumentError unless all have the same number of frames and the same height.
 */
export function sideBySide(clips: readonly Frames[]): Frames {
  if (clips.length === 0) throw new InvalidArgumentError('clips', 'is empty, expected at least one clip');
  const [first] = clips;
  clips.forEach((clip, i) => {
    checkFrames(`clips[${i}]`, clip);
    if (clip.frames !== first.frames || clip.height !== first.height) {
      throw new InvalidArgumentError(
        `clips[${i}]`,
        `has ${clip.frames} frames of height ${clip.height}, expected ${first.frames} of height ${first.height} as the first clip`,
      );
    }
  });
  const width = clips.reduce((sum, clip) => sum + clip.width, 0);
  const { frames, height, fps } = first;
  const wide: Frames = { data: new Uint8Array(frames * height * width * 3), frames, height, width, fps };
  for (let index = 0; index < frames; index++) {
    let left = 0;
    for (const clip of clips) {
      paste(frameAt(clip, index), frameAt(wide, index), 0, left);
      left += clip.width;
    }
  }
  return wide;
}

function paste(image: RgbImage, into: RgbImage, top: number, left: number): void {
  for (let row = 0; row < image.height; row++) {
    const from = row * image.width * 3;
    into.data.set(image.data.subarray(from, from + image.width * 3), ((top + row) * into.width + left) * 3);
  }
}

/** For each output position, the first input it covers and its weights: the mean over the covered interval. */
function coverage(from: number, to: number): { start: number; weights: number[] }[] {
  const ratio = from / to;
  return Array.from({ length: to }, (_, i) => {
    const begin = i * ratio;
    const end = Math.min(from, (i + 1) * ratio);
    const start = Math.floor(begin);
    const weights: number[] = [];
    for (let k = start; k < end; k++)
      weights.push((Math.min(end, k + 1) - Math.max(begin, k)) / (end - begin));
    return { start, weights };
  });
}

/** Resizes by averaging the covered area, so that thin hands do not vanish in a small cell. */
export function resizeArea(image: RgbImage, height: number, width: number): RgbImage {
  const rows = coverage(image.height, height);
  const columns = coverage(image.width, width);
  const data = new Uint8Array(height * width * 3);
  let o = 0;
  for (const { start: top, weights: rowWeights } of rows) {
    for (const { start: left, weights: columnWeights } of columns) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let dy = 0; dy < rowWeights.length; dy++) {
        for (let dx = 0; dx < columnWeights.length; dx++) {
          const weight = rowWeights[dy] * columnWeights[dx];
          const i = ((top + dy) * image.width + left + dx) * 3;
          red += weight * image.data[i];
          green += weight * image.data[i + 1];
          blue += weight * image.data[i + 2];
        }
      }
      data[o++] = Math.round(red);
      data[o++] = Math.round(green);
      data[o++] = Math.round(blue);
    }
  }
  return { data, height, width };
}
