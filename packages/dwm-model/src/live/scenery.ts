/** The static scene becomes what blocks need of it. */
import { Scratch } from '../pipeline/scratch.ts';
import type { ClipStream } from '../vae/clip-stream.ts';
import type { Video } from '../video/video.ts';
import type { LiveEngine, Scenery } from './engine.ts';

export const lastFrame = ({ data, height, width }: Video): Video => ({
  ...{ frames: 1, height, width },
  data: data.slice(-height * width * 3),
});

export function freeScenery({ latents, own, decoded }: Scenery): void {
  for (const tensor of [latents, own, decoded]) tensor?.destroy();
}

/** The last frame of `video` as a scene that stands: both clips begin anew with it, as if it had always been there. */
export async function sceneAtRest(
  engine: LiveEngine,
  scene: ClipStream,
  sceneDecoder: ClipStream,
  video: Video,
): Promise<Scenery> {
  for (const clip of [scene, sceneDecoder]) clip.reset();
  return sceneryOf(engine, scene, sceneDecoder, lastFrame(video));
}

export async function sceneryOf(
  engine: LiveEngine,
  scene: ClipStream,
  sceneDecoder: ClipStream,
  frames: Video,
): Promise<Scenery> {
  const made = new Scratch();
  try {
    const own = made.keep(await engine.up(frames));
    const moments = await scene.push(own);
    const shown = moments.shape[1];
    const latents = made.keep(await engine.staticLatents(moments).finally(() => moments.destroy()));
    if (!engine.settings.composite) return { latents: made.give(latents) };
    const decoded = await sceneDecoder.push(await engine.plain(latents, shown));
    return { latents: made.give(latents), own: made.give(own), decoded };
  } finally {
    made.destroy();
  }
}
