/** A look at the batches that a training will see, before it is begun: nothing is encoded, and no device is needed. */
import { type ModelFolder, subfolder } from '@dwm/core-tensor/files';
import { openDirectory } from '@dwm/core-tensor/node';
import { familyOf, type ModelFamily } from '../../families/index.ts';
import type { ExperimentConfig } from '../../training/config.ts';
import type { BatchOrder } from '../../training/data/batch-order.ts';
import { consecutiveFrames } from '../../training/data/training-clip.ts';
import { readTransformerConfig } from '../../transformer/index.ts';
import { latentSize, readVaeConfig } from '../../vae/index.ts';
import { readJson } from '../../weights/config.ts';
import { CLIPS, type ClipName, checkFiles, readDatasets, type Sample } from './dataset.ts';
import { encodedFile, readEmbeds, readLatents } from './encoded.ts';
import { type ReadClip, readCaption, TrainingEncoder } from './encoder.ts';
import { type ExampleFiles, ExampleLoader } from './example-loader.ts';
import { allSamples, batchOrder } from './order.ts';
import { trainingSize } from './size.ts';
import { trainingOf } from './trainings.ts';

/** What a data set gives to training. */
export interface InspectedBatches {
  /** Clips of all lists. */
  readonly clips: number;
  /** Whole batches in an epoch. */
  readonly batches: number;
  /** The first batches, each sample with the shapes of what it is made from. */
  readonly first: readonly (readonly ExampleFiles[])[];
}

/**
 * @param count how many batches to read.
 * @throws InvalidFileError for the first file that a training would refuse.
 */
export async function inspectBatches(
  config: ExperimentConfig,
  readClip: ReadClip,
  count: number,
): Promise<InspectedBatches> {
  const { training, data, model } = config;
  const path = model.base_model_name_or_path;
  const folder = await openDirectory(path);
  const family = await familyOf(folder);
  const { datasets, matched } = await readDatasets(data);
  const order = batchOrder(config, datasets, matched);
  const setting = { config, folder, family, readClip, order };
  const { encodes } = trainingOf(family, path);
  const loader = await (encodes.kind === 'samples' ? sampleLoader(setting) : momentLoader(setting));
  const all = datasets.flat();
  await loader.check(allSamples(datasets, matched));
  const first: ExampleFiles[][] = [];
  const batches = Math.floor(all.length / training.batch_size);
  for (let b = 0; b < Math.min(count, batches); b++) {
    const batch: ExampleFiles[] = [];
    for (let i = 0; i < training.batch_size; i++) batch.push(await loader.look(b * training.batch_size + i));
    first.push(batch);
  }
  return { clips: all.length, batches, first };
}

interface Setting {
  readonly config: ExperimentConfig;
  readonly folder: ModelFolder;
  readonly family: ModelFamily;
  readonly readClip: ReadClip;
  readonly order: BatchOrder<Sample>;
}

interface Loader {
  check(samples: readonly Sample[]): Promise<void>;
  look(position: number): Promise<ExampleFiles>;
}

/** Of moments, or clips in their place. */
async function momentLoader({ config, folder, readClip, order }: Setting): Promise<Loader> {
  const size = trainingSize(config);
  const { json, file } = await readJson(folder, 'transformer/config.json');
  return new ExampleLoader({
    encoder: new TrainingEncoder({
      model: config.model.base_model_name_or_path,
      size,
      readClip,
      pipeline: () => Promise.reject(new Error('nothing is encoded here')),
    }),
    cache: '',
    size: latentSize(await readVaeConfig(subfolder(folder, 'vae')), size),
    textDim: readTransformerConfig(json, file).text_embed_dim,
    hasTextEncoder: await folder.exists('text_encoder/config.json'),
    loadTensors: config.training.custom_settings.load_tensors,
    turnAt: (position) => order.at(position),
    warn: () => {},
  });
}

/** Of latents that were drawn when they were encoded and embeddings of their own lengths, or clips and captions. */
async function sampleLoader({ config, folder, family, readClip, order }: Setting): Promise<Loader> {
  const size = trainingSize(config);
  const latent = await family.latentSize(folder, size);
  const { width: textDim } = await family.textWidth(folder);
  const { load_tensors: encoded } = config.training.custom_settings;
  const shapeOf = async (sample: Sample, which: ClipName): Promise<readonly number[]> => {
    if (encoded) {
      const file = await encodedFile(sample.latents[which]);
      await readLatents(file!, latent);
      return [latent.channels, latent.frames, latent.height, latent.width];
    }
    const { frames, height, width } = await readClip(sample[which], (count) =>
      consecutiveFrames(count, size.frames, 0),
    );
    return [3, frames, height, width];
  };
  return {
    check: (samples) =>
      checkFiles(
        samples,
        (sample) =>
          encoded
            ? { encoded: [...CLIPS.map((which) => sample.latents[which]), sample.promptEmbeds] }
            : { videos: CLIPS.map((which) => sample[which]) },
        encoded ? 'run dwm encode first' : 'add it, or take the clip out of its list',
      ),
    async look(position) {
      const { clip, caption } = order.at(position);
      const shapes: [ClipName, readonly number[]][] = [];
      for (const which of CLIPS) shapes.push([which, await shapeOf(clip, which)]);
      const embeds = encoded ? await encodedFile(caption.promptEmbeds) : undefined;
      return {
        name: clip.name,
        caption: await readCaption(caption.prompt),
        shapes: Object.fromEntries(shapes) as ExampleFiles['shapes'],
        ...(embeds && { prompt: (await readEmbeds(embeds, textDim)).shape }),
      };
    },
  };
}
