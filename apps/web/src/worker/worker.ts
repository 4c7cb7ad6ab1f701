/** The engine: everything that touches the device happens here, off the page's thread. */
import { type Device, DwmError, openBrowserDevice } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { selfTestOnFirstUse } from '@dwm/core-tensor/tune';
import { forget, listKept } from '../model-store/opfs.ts';
import { loraFolder, openModel } from '../model-store/sources.ts';
import { generate } from './generate.ts';
import type { HandFinder } from './hand-finder.ts';
import type { LiveRun } from './live.ts';
import { LiveView } from './live-view.ts';
import { planMemory } from './memory-plan.ts';
import { type LoadedModel, loadModel, memoryFor } from './model.ts';
import { conditioning } from './passes.ts';
import { Room } from './room.ts';
import { announceLoss, serve } from './serve.ts';

let device: Device | undefined;
let model: LoadedModel | undefined;
let room: Room | undefined;
/** The room that was opened last, until a motion in it was drawn. */
let next: Room | undefined;
let view: LiveView | undefined;
let live: LiveRun | undefined;
let finder: HandFinder | undefined;

function ready<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new DwmError('not-ready', `there is no ${what} yet`);
  return value;
}

async function closeHands(): Promise<void> {
  const closing = finder;
  finder = undefined;
  await closing?.destroy();
}

/** What it runs on goes away. */
async function endLive(): Promise<void> {
  const ending = live;
  live = undefined;
  await ending?.destroy();
}

serve({
  async open() {
    device = await openBrowserDevice();
    selfTestOnFirstUse(device);
    device.lost.then(({ reason, message }) => announceLoss(`${reason}: ${message}`));
    const { adapter, features } = device.caps;
    const name = adapter.description || [adapter.vendor, adapter.architecture].filter(Boolean).join(' ');
    return { name, software: adapter.kind === 'software', f16: features.f16 };
  },
  async loadModel({ base, lora, limit }, { report, signal }) {
    const on = ready(device, 'device');
    const over = lora && loraFolder(lora);
    const fits = (folder: ModelFolder) => memoryFor(on, folder, over, limit);
    const files = (done: number, total: number) => report({ part: 'files', done, total });
    const folder = await openModel(base, files, signal, fits);
    const memory = await fits(folder);
    const loaded = await loadModel(on, folder, { lora: over, memory, report, signal });
    await endLive();
    model?.pipeline.destroy();
    model = loaded;
    return loaded.info;
  },
  listModels: async () => listKept().catch(() => []),
  forgetModel: (id) => forget(id),
  async openRoom({ room: ref, settings }, { signal }) {
    const opened = await Room.open(ready(device, 'device'), ref, settings, signal);
    next?.destroy();
    next = opened;
    return opened.info;
  },
  async condition({ trajectory }, context) {
    const drawn = next ?? ready(room, 'room');
    try {
      const clips = await conditioning(ready(device, 'device'), drawn, trajectory, context);
      if (next) {
        await endLive();
        room?.destroy();
        [room, next] = [next, undefined];
      }
      return clips;
    } catch (error) {
      next?.destroy();
      next = undefined;
      throw error;
    }
  },
  describe: async ({ trajectory }) => ready(room, 'room').describe(trajectory),
  truth: async ({ trajectory, larger }) => ready(room, 'room').truth(trajectory, larger),
  apart: async ({ trajectory }) => ready(room, 'room').apart(trajectory),
  async readVideos(asked, { report, signal }) {
    const { defaults } = ready(model, 'model').pipeline.family;
    return (await import('./read-videos.ts')).readVideos(asked, defaults, signal, report);
  },
  plan: async ({ settings, limit }) => planMemory(ready(model, 'model'), settings, limit),
  generate: (input, { report, signal }) => generate(ready(model, 'model'), input, report, signal),
  async openHands(_, { signal }) {
    await closeHands();
    const { HandFinder } = await import('./hand-finder.ts');
    finder = await HandFinder.open(ready(device, 'device'), signal);
  },
  findHands: async (picture) => ready(finder, 'hand finder').next(picture),
  closeHands,
  async attachView(canvas) {
    view?.destroy();
    view = new LiveView(ready(device, 'device'), canvas);
  },
  async openLive(asked) {
    await endLive();
    const { LiveRun } = await import('./live.ts');
    live = await LiveRun.open(ready(device, 'device'), ready(model, 'model'), ready(room, 'room'), asked);
    return live.opened;
  },
  pushLive: async ({ frames }, { signal }) => ready(live, 'live run').push(frames, signal),
  resetLive: async () => ready(live, 'live run').reset(),
  async look({ frame }) {
    if (room && view) await view.show(room, frame);
  },
  mp4: async ({ clips }) => (await import('./take-away.ts')).toMp4(clips),
  gif: async ({ clips }) => (await import('./take-away.ts')).toGif(clips),
  sheet: async ({ rows }) => (await import('./take-away.ts')).toSheet(rows),
});
