/** Generates a clip in Node: a room, a hand that pulls its drawer, and what the default model makes of the two. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { DwmPipeline, readRunSettings } from '@dwm/dwm-model';
import { writeVideo } from '@dwm/media/node';
import { PassRenderer, simulate } from '@dwm/synth';

const device = await openNodeDevice();
const folder = await openDirectory(
  dirname(fileURLToPath(import.meta.resolve('@dwm/dwm-tiny/model_index.json'))),
);
const settings = await readRunSettings(folder);
const { width, height, numFrames, fps } = settings;

// Yours would come from readVideo('static.mp4') and readVideo('hands.mp4') of '@dwm/media/node'.
const room = await simulate(1_000_000, { width, height, frames: numFrames, fps, action: 'pull-drawer' });
if ('rejected' in room) throw new Error(room.rejected);
const renderer = new PassRenderer(device);
const { staticVideo, handVideo } = await renderer.render(room);
renderer.destroy();

const pipeline = await DwmPipeline.load(device, folder);
const video = await pipeline.generate({
  ...settings,
  staticVideo,
  handVideo,
  prompt: room.caption,
  onProgress: ({ stage, done }) => process.stderr.write(`\r${stage} ${Math.round(100 * done)}%  `),
});
await writeVideo('generated.mp4', { ...video, fps });
console.log(`\n${room.caption} generated.mp4, ${video.frames} frames of ${width}x${height}`);
pipeline.destroy();
device.destroy();
