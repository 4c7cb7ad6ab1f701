/** The clips of a training's lists: all of them, and which comes when. */
import type { ExperimentConfig } from '../../training/config.ts';
import { BatchOrder } from '../../training/data/batch-order.ts';
import type { Sample } from './dataset.ts';

type Datasets = readonly (readonly Sample[])[];
type Matched = ReadonlyMap<Sample, readonly Sample[]>;

/** Those of the lists, then those that they come in pairs with. */
export const allSamples = (datasets: Datasets, matched: Matched): Sample[] => [
  ...datasets.flat(),
  ...[...matched.values()].flat(),
];

/** @param datasets the clips of each list of `data.dataset_file`. */
export function batchOrder(
  { training, data }: ExperimentConfig,
  datasets: Datasets,
  matched: Matched,
): BatchOrder<Sample> {
  return new BatchOrder<Sample>({
    seed: training.seed,
    batchSize: training.batch_size,
    datasets: data.dataset_file.map(({ weight }, i) => ({ clips: datasets[i], weight })),
    matched,
    promptSwap: training.prompt_swap_prob,
  });
}
