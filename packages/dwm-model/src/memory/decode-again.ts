/** Latents of a run that did not decode, decoded again: with as much of the device's memory as there can be. */
import type { ModelShapes } from '../families/family.ts';
import { type TileSize, type Tiling, tileSizes } from '../vae/tiling.ts';
import { type PlanTarget, planningDevice } from './devices.ts';
import { TILES } from './plan-vae.ts';
import type { RunNeeds, RunPlan } from './run-plan.ts';

/** Pixels of the picture that `plan` decodes at once. */
function tileArea(
  model: ModelShapes,
  target: PlanTarget,
  { choice }: RunPlan,
  { tiling, precision, height, width }: RunNeeds,
): number {
  const used = choice.decodeTiling ?? tiling ?? model.tiling;
  if (used === false) return height * width;
  const { shape } = model.vae(planningDevice(target), precision);
  const tile = tileSizes(shape, used === true ? {} : used);
  const within = ({ sample }: TileSize, length: number) => Math.min(sample, length);
  return within(tile.height, height) * within(tile.width, width);
}

/** Tiles of a quarter of the area, or less, of those that `plan` decodes in; the smallest there are if they are those. */
export function smallerTiles(
  model: ModelShapes,
  target: PlanTarget,
  plan: RunPlan,
  needs: RunNeeds,
): Required<Pick<Tiling, 'tileSampleMinHeight' | 'tileSampleMinWidth'>> {
  const most = tileArea(model, target, plan, needs) / 4;
  const { height, width } = needs;
  const covers = ([rows, columns]: readonly [number, number]) =>
    Math.min(rows, height) * Math.min(columns, width);
  const [rows, columns] = TILES.find((tile) => covers(tile) <= most) ?? TILES.at(-1)!;
  return { tileSampleMinHeight: rows, tileSampleMinWidth: columns };
}

/** A run that only decodes: no block of the transformer or of the text encoder stays on the device. */
export const DECODES_ONLY = { text: 'come in blocks', residentBlocks: 0 } as const;
