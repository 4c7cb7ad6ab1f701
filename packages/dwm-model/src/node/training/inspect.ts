/** A look at the batches that a training will see, before it is begun: nothing is encoded, and no device is needed. */
import { subfolder } from '@dwm/core-tensor';
import { openDirectory } from '@dwm/core-tensor/node';
import type { ExperimentConfig } from '../../training/config.ts';
import { readTransformerConfig } from '../../transformer/index.ts';
import { latentSize, readVaeConfig } from '../../vae/index.ts';
import { readJson } from '../../weights/config.ts';
import { readDatasets } from './dataset.ts';
import { type ReadClip, TrainingEncoder } from './encoder.ts';
import { type ExampleFiles, ExampleLoader } from './example-loader.ts';
import { allSamples, batchOrder } from './order.ts';
import { trainingSize } from './size.ts';

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
  const folder = await openDirectory(model.base_model_name_or_path);
  const size = trainingSize(config);
  const { json, file } = await readJson(folder, 'transformer/config.json');
  const { datasets, matched } = await readDatasets(data);
  const order = batchOrder(config, datasets, matched);
  const loader = new ExampleLoader({
    encoder: new TrainingEncoder({
      model: model.base_model_name_or_path,
      size,
      readClip,
      pipeline: () => Promise.reject(new Error('nothing is encoded here')),
    }),
    cache: '',
    size: latentSize(await readVaeConfig(subfolder(folder, 'vae')), size),
    textDim: readTransformerConfig(json, file).text_embed_dim,
    hasTextEncoder: await folder.exists('text_encoder/config.json'),
    loadTensors: training.custom_settings.load_tensors,
    turnAt: (position) => order.at(position),
    warn: () => {},
  });
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
