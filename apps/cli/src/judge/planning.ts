/** Whether a drawer opens in the physics by the hand path that a search finds with the model alone. */
import { startSearch } from '@dwm/dwm-model/ranking';
import { clipOf, drawEnd, forearmsFor, runHands, type Unusable } from '@dwm/synth';
import { describePoint, handPath } from '../plan/hand-path.ts';
import { type SearchOptions, searchPath } from '../plan/search.ts';
import { synthRoom } from '../plan/synth-room.ts';
import { type Captions, captionFor } from './captions.ts';
import type { Setup } from './setup.ts';

interface PlannedRoom {
  /** Share of the drawer's way. */
  readonly opened: number;
  readonly action: string;
  readonly distance: number;
}

export async function planRoom(
  setup: Setup,
  seed: number,
  captions: Captions,
  search: Pick<SearchOptions, 'population' | 'rounds' | 'elite' | 'onClip'>,
): Promise<PlannedRoom | Unusable> {
  const task = await synthRoom(seed, setup.passes, setup.size);
  if ('rejected' in task) return task;
  const { world, setting } = task;
  const caption = captionFor(captions, task.caption, task.pullCaption);
  const { scored } = await searchPath(
    setup.device,
    setup.model,
    task,
    startSearch(),
    { ...setup.sampling, ...search, prompt: caption, distance: setup.generator.distance() },
    ({ handVideo, trajectory }) =>
      setup.oracle?.know(handVideo, async () => {
        const motion = { action: world.action, caption, acting: trajectory };
        const run = await runHands(world, trajectory);
        const clip = clipOf(world, { ...motion, forearms: forearmsFor(world, trajectory) }, run, true);
        return drawEnd(setup.passes, clip);
      }),
  );
  const [{ point, cost }] = scored;
  const { opened } = await task.check!(handPath(point, setting));
  return { opened, action: describePoint(point, setting), distance: cost };
}
