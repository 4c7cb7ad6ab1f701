/** Where our head has a hand's points in the picture. */
import type { HandSide } from '@dwm/renderer';
import { fromRegion } from './region.ts';
import type { OwnView, Point2 } from './types.ts';

/** @param side whose hand it is taken for. */
export const pictureOf = ({ region, reading }: OwnView, side: HandSide): Point2[] =>
  Array.from({ length: 21 }, (_, i) => {
    const { picture } = reading[side];
    return fromRegion(region, picture[2 * i] + 0.5, picture[2 * i + 1] + 0.5);
  });
