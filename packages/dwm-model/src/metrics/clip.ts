/** Clips as metrics take them: 8-bit RGB with a name for messages, always compared in pairs of one size. */
import { DwmError } from '@dwm/core-tensor';
import type { Video } from '../video/video.ts';

/** A clip with the name that messages give it. */
export interface NamedClip {
  /** A file, or words for a clip that is in no file. */
  readonly name: string;
  readonly clip: Video;
}

const size = ({ frames, height, width }: Video) =>
  `${frames} frame${frames === 1 ? '' : 's'} of ${width}x${height}`;

/** @throws DwmError naming both clips unless all have as many frames, of one size, as the first. */
export function checkSameSize([first, ...others]: readonly NamedClip[]): void {
  for (const { name, clip } of others) {
    if (
      clip.frames === first.clip.frames &&
      clip.height === first.clip.height &&
      clip.width === first.clip.width
    )
      continue;
    throw new DwmError(
      'clips-differ',
      `${name} has ${size(clip)}, but ${first.name} has ${size(first.clip)}; metrics compare clips of one length and size`,
      { files: [name, first.name] },
    );
  }
}

/** Frame `index` of a clip as a clip, not copied. */
export function frameOf({ data, height, width }: Video, index: number): Video {
  const bytes = height * width * 3;
  return { data: data.subarray(index * bytes, (index + 1) * bytes), frames: 1, height, width };
}
