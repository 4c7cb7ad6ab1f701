/** Which of two hands opens the drawer? Each is simulated by the model, and compared with a picture of the goal. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { DwmPipeline, readRunSettings } from '@dwm/dwm-model';
import { rankActions } from '@dwm/dwm-model/ranking';
import { type Action, PassRenderer, simulate } from '@dwm/synth';

const device = await openNodeDevice();
const folder = await openDirectory(
  dirname(fileURLToPath(import.meta.resolve('@dwm/dwm-tiny/model_index.json'))),
);
const { numFrames: frames, ...settings } = await readRunSettings(folder);

// One room, two hands, drawn along one camera path.
const renderer = new PassRenderer(device);
const act = async (action: Action) => {
  const size = { width: settings.width, height: settings.height, frames, fps: settings.fps };
  const clip = await simulate(1_000_000, { ...size, action, room: 'pull-drawer' });
  if ('rejected' in clip) throw new Error(clip.rejected);
  return { caption: clip.caption, ...(await renderer.render(clip)) };
};
const pulls = await act('pull-drawer');
const idle = await act('touch-nothing');
renderer.destroy();

const pipeline = await DwmPipeline.load(device, folder);
const ranked = await rankActions(
  pipeline,
  { staticVideo: pulls.staticVideo, prompt: pulls.caption },
  [
    { name: 'touches nothing', handVideo: idle.handVideo, prompt: idle.caption },
    { name: 'pulls the drawer', handVideo: pulls.handVideo },
  ],
  pulls.interaction,
  { ...settings, onClip: (done, total) => console.error(`clip ${done} of ${total}`) },
);
for (const { name, distance } of ranked) console.log(`${distance.mean.toFixed(4)}  ${name}`);
pipeline.destroy();
device.destroy();
