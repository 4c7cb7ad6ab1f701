/** What is taken of a visitor's two videos, in a line each: nothing is cut, thinned or stretched in silence. */
import { isEmpty } from '../panes/picture.ts';
import type { Clip, ReadVideo, Settings } from '../worker/protocol.ts';

const size = ({ width, height }: { readonly width: number; readonly height: number }) =>
  `${width} × ${height}`;
const round = (value: number) => Number(value.toFixed(2));
const seconds = (frames: number, fps: number) => `${round(frames / fps)} s`;

/** Shares of the picture that are not black, above which no hand is alone in it. */
const COLOURFUL = 0.6;
/** Shapes that differ by less look alike. */
const SHAPE = 0.02;

interface Named extends ReadVideo {
  readonly name: string;
}

/** Both at the run's length: a scene that ends early stands still, hands that end early are gone. */
export function atLength(clip: Clip, frames: number, what: 'scene' | 'hands'): Clip {
  if (clip.frames === frames) return clip;
  const bytes = clip.width * clip.height * 3;
  const data = new Uint8Array(frames * bytes);
  data.set(clip.data.subarray(0, frames * bytes));
  const last = clip.data.subarray((clip.frames - 1) * bytes, clip.frames * bytes);
  if (what === 'scene') for (let i = clip.frames; i < frames; i++) data.set(last, i * bytes);
  return { ...clip, data, frames };
}

function shareOfColour({ data }: Clip): number {
  let lit = 0;
  for (let i = 0; i < data.length; i += 3) if (data[i] + data[i + 1] + data[i + 2] > 48) lit++;
  return (3 * lit) / data.length;
}

export function videoNotes(scene: Named, hands: Named, settings: Settings): string[] {
  const { frames, fps } = settings;
  const shape = ({ width, height }: { readonly width: number; readonly height: number }) =>
    Math.log(width / height);
  const lines = [scene, hands].map(({ name, clip, file }) => {
    const alike = Math.abs(shape(file) - shape(settings)) < SHAPE;
    const rate = round(file.fps) === fps ? '' : `, ${fps} of its ${round(file.fps)} frames a second`;
    const drawn =
      size(file) === size(settings)
        ? ''
        : `, ${size(file)} ${alike ? 'taken as' : 'stretched to'} ${size(settings)}`;
    return `${name}: ${seconds(clip.frames, fps)} of ${seconds(file.frames, file.fps)}${rate}${drawn}`;
  });
  const seen = Array.from({ length: hands.clip.frames }, (_, i) => isEmpty(hands.clip, i)).filter(
    (gone) => !gone,
  );
  lines.push(`hands are seen for ${seconds(seen.length, fps)}`);
  for (const [{ name, clip }, ends] of [
    [scene, 'stands still from there on'],
    [hands, 'has no hands from there on'],
  ] as const)
    if (clip.frames < frames) lines.push(`${name} ends after ${clip.frames} of ${frames} frames and ${ends}`);
  if (Math.abs(shape(scene.file) - shape(hands.file)) > SHAPE)
    lines.push(`${hands.name} has another shape than ${scene.name}: hands are not where they should be`);
  if (shareOfColour(hands.clip) > COLOURFUL)
    lines.push(`${hands.name} does not look like hands on black, which the model expects`);
  return lines;
}
