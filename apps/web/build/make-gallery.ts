/**
 * Chooses the gallery's rooms and records what the default model makes of a drag in each: `src/gallery/rooms.json` and
 * `src/gallery/clips/`. To be run after the model or the simulator's rooms have changed:
 * `npm run gallery --workspace apps/web`.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { changedRegion, regionPsnr } from '@dwm/dwm-model/metrics';
import type { Frames } from '@dwm/media';
import type { Trajectory } from '@dwm/renderer';
import {
  type Action,
  chooseAction,
  fault,
  makeMotion,
  makeWorld,
  Random,
  restOf,
  runHands,
} from '@dwm/synth';
import sharp from 'sharp';
import type { GalleryRoom } from '../src/gallery/rooms.ts';
import { guidedMotion, guideOf, startOf, towards } from '../src/scene-editor/guide.ts';
import { add, scale } from '../src/scene-editor/vectors.ts';
import { generate } from '../src/worker/generate.ts';
import { loadModel } from '../src/worker/model.ts';
import { conditioning } from '../src/worker/passes.ts';
import { Room } from '../src/worker/room.ts';
import { modelFolder } from './built-in-models.ts';

const GALLERY = join(import.meta.dirname, '../src/gallery');
const FIRST_SEED = 1_000_000;
/** Seeds looked at for each kind of room. */
const CANDIDATES = 8;
/** The first room's recording is the first that a visitor sees, and as large as the stage. */
const pictureOf = (number: string) => ({
  quality: number === '1' ? 82 : 60,
  effort: 6,
  smartSubsample: true,
});

/** What each place of the gallery shows, the first being the page's first room. */
const PLACES: readonly (readonly [Action, string])[] = [
  ['pull-drawer', 'Pull the drawer open'],
  ['open-door', 'Open the door'],
  ['pick-and-place', 'Carry something away'],
  ['open-lid', 'Lift the lid'],
  ['push-object', 'Push something aside'],
  ['close-door', 'Close the door'],
  ['push-drawer', 'Push the drawer shut'],
  ['flip-switch', 'Flip the lever'],
];

const { signal } = new AbortController();
const context = { signal, report: () => {} };
const device = await openNodeDevice();
const model = await loadModel(device, await openDirectory(modelFolder()));
const { settings } = model.info;

/** A hand taken and drawn straight to where the room's own motion goes. */
function straightDrag(room: Room): Trajectory | undefined {
  const { trajectory } = room.info;
  const guide = guideOf(room.info);
  if (!trajectory || !guide) return undefined;
  const count = trajectory.frames.length - guide.approach.length;
  const part = (i: number) => Math.min(1, i / (0.75 * (count - 1)));
  return guidedMotion(
    guide,
    trajectory,
    Array.from({ length: count }, (_, i) => add(startOf(guide), scale(towards(guide), part(i)))),
  );
}

interface Tried {
  readonly seed: number;
  readonly rest: readonly number[];
  /** dB by which the model is nearer to the simulator than the room as it was, where something changes. */
  readonly gain: number;
  readonly video: Frames;
}

async function tried(seed: number): Promise<Tried | undefined> {
  const world = await makeWorld(seed);
  const motion = makeMotion(world, { ...settings, fixedCamera: false });
  if (fault(world, motion, await runHands(world, motion.acting))) return undefined;
  const room = await Room.open(device, { kind: 'synthetic', seed, exact: true }, settings, signal);
  try {
    const drag = straightDrag(room);
    if (!drag) return undefined;
    const clips = await conditioning(device, room, drag, context);
    const truth = await room.truth(drag, 1);
    const told = { ...settings, prompt: room.info.caption };
    const { video } = await generate(model, { ...clips, settings: told }, () => {}, signal);
    const region = changedRegion(truth, clips.scene);
    const near = regionPsnr(video, truth, region, 1);
    const still = regionPsnr(clips.scene, truth, region, 1);
    if (near === undefined || still === undefined) return undefined;
    return { seed, rest: restOf(world), gain: near - still, video };
  } finally {
    room.destroy();
  }
}

/** A moving picture, and its last frame for those who want none that moves. */
async function writeClip(name: string, { data, frames, width, height, fps }: Frames): Promise<void> {
  const moving = sharp(data, { raw: { width, height: height * frames, channels: 3, pageHeight: height } });
  const delay = Array.from({ length: frames }, () => Math.round(1000 / fps));
  await moving.webp({ ...pictureOf(name), delay, loop: 0 }).toFile(join(GALLERY, `clips/${name}.webp`));
  const last = data.subarray(-width * height * 3);
  const still = sharp(last, { raw: { width, height, channels: 3 } });
  await still.webp(pictureOf(name)).toFile(join(GALLERY, `clips/${name}-still.webp`));
}

await mkdir(join(GALLERY, 'clips'), { recursive: true });
const rooms: GalleryRoom[] = [];
for (const [action, name] of PLACES) {
  let best: Tried | undefined;
  for (let seed = FIRST_SEED, looked = 0; looked < CANDIDATES; seed++) {
    if (chooseAction(Random.fork(seed, 'action')) !== action) continue;
    looked++;
    const found = await tried(seed);
    if (found) console.log(`${action} ${seed}: ${found.gain.toFixed(2)} dB`);
    if (found && found.gain > (best?.gain ?? Number.NEGATIVE_INFINITY)) best = found;
  }
  if (!best) throw new Error(`none of ${CANDIDATES} rooms of ${action} works out; look at more`);
  rooms.push({ name, seed: best.seed, rest: best.rest });
  await writeClip(String(rooms.length), best.video);
}
await writeFile(join(GALLERY, 'rooms.json'), `${JSON.stringify(rooms)}\n`);
model.pipeline.destroy();
device.destroy();
