/**
 * What an edit list (ISO/IEC 14496-12, 8.6.6) makes of a track: its parts are shown one after another, an empty one is
 * a pause. A frame belongs to a part when it begins in it, as for FFmpeg.
 */
import { checkFrameCount, UnreadError } from './bytes.ts';

export interface Edit {
  /** Seconds; 0 of the only part means to the end. */
  readonly duration: number;
  /** Where the part begins in the media, in units of its timescale; -1 for an empty one. */
  readonly mediaTime: number;
  /** Speed; only 1 is read. */
  readonly rate: number;
}

/** A frame that is shown: when, and which of the media's frames it is. */
interface ShownFrame {
  /** Seconds. */
  readonly time: number;
  /** Place among the media's frames in order of their times. */
  readonly frame: number;
}

/**
 * @param media times of the media's frames, ascending, in units of the timescale.
 * @throws UnreadError for parts that are played faster, slower, or as a still.
 */
export function applyEdits(
  media: readonly number[],
  timescale: number,
  edits: readonly Edit[],
): ShownFrame[] {
  const shown: ShownFrame[] = [];
  const parts = edits.filter(({ mediaTime }) => mediaTime >= 0).length;
  let begins = 0;
  for (const { duration, mediaTime, rate } of edits) {
    if (mediaTime >= 0) {
      if (rate !== 1) throw new UnreadError(`its edit list plays a part at ${rate} times the speed`);
      const length = Math.round(duration * timescale);
      const end = length === 0 && parts === 1 ? Number.POSITIVE_INFINITY : mediaTime + length;
      let frame = lowerBound(media, mediaTime);
      for (; frame < media.length && media[frame] < end; frame++) {
        shown.push({ time: begins + (media[frame] - mediaTime) / timescale, frame });
        checkFrameCount(shown.length);
      }
    }
    begins += duration;
  }
  return shown;
}

function lowerBound(values: readonly number[], value: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
