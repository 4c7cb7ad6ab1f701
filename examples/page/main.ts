/** Generates a clip in a page, of two video files. The model's folder is served at model/. */
import { openBrowserDevice } from '@dwm/core-tensor';
import { urlFolder } from '@dwm/core-tensor/files';
import { DwmPipeline, readRunSettings } from '@dwm/dwm-model';
import { encodeVideo, readVideo } from '@dwm/media';

const find = <E extends HTMLElement>(id: string) => document.getElementById(id) as E;
const fileOf = (id: string) => {
  const file = find<HTMLInputElement>(id).files?.[0];
  if (!file) throw new Error(`choose a video of the ${id} first`);
  return file;
};
const say = (text: string) => {
  find('status').textContent = text;
};

async function generate(): Promise<void> {
  const staticVideo = await readVideo(fileOf('static'));
  const handVideo = await readVideo(fileOf('hands'));
  const device = await openBrowserDevice();
  const folder = urlFolder('model/');
  const settings = await readRunSettings(folder);
  const pipeline = await DwmPipeline.load(device, folder, {
    onProgress: (part, done, total) => say(`loading ${part}: ${Math.round((100 * done) / total)}%`),
  });
  const video = await pipeline.generate({
    ...settings,
    staticVideo,
    handVideo,
    prompt: find<HTMLInputElement>('prompt').value,
    onProgress: ({ stage, done }) => say(`${stage}: ${Math.round(100 * done)}%`),
  });
  const bytes = await encodeVideo({ ...video, fps: settings.fps });
  find<HTMLVideoElement>('result').src = URL.createObjectURL(new Blob([bytes], { type: 'video/mp4' }));
  say('');
  device.destroy();
}

find('generate').addEventListener('click', () => generate().catch((error: Error) => say(error.message)));
