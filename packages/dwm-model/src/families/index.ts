/** The model families, and which of them a folder is of. */
import { InvalidFileError } from '@dwm/core-tensor';
import type { ModelFolder } from '@dwm/core-tensor/files';
import { COGVIDEOX } from '../cogvideox/family.ts';
import { isWan, WAN_TYPES } from '../wan/files.ts';
import type { ModelFamily } from './family.ts';

export type {
  DenoisingNetwork,
  DistilledLora,
  FamilyDefaults,
  LoadedTransformer,
  ModelFamily,
  ModelShapes,
  NetworkOptions,
  Riflex,
  TextReader,
} from './family.ts';

/** A family by what tells it from others; the rest of it is fetched when a folder is of it. */
interface Known extends Pick<ModelFamily, 'recognises' | 'pipelineTypes'> {
  readonly load: () => Promise<ModelFamily>;
}

const here = (family: ModelFamily): Known => ({
  recognises: (folder) => family.recognises(folder),
  pipelineTypes: family.pipelineTypes,
  load: async () => family,
});

/** The first that recognises a folder counts. */
const FAMILIES: Known[] = [
  {
    recognises: isWan,
    pipelineTypes: WAN_TYPES,
    load: async () => (await import('../wan/family.ts')).WAN,
  },
  here(COGVIDEOX),
];

/** Puts a family of another package before those that are here. */
export const addFamily = (family: ModelFamily): void => void FAMILIES.unshift(here(family));

/** The family of a model's folder; of one that none recognises the last, whose messages then say what is missing. */
export async function familyOf(folder: ModelFolder): Promise<ModelFamily> {
  for (const family of FAMILIES) if (await family.recognises(folder)) return family.load();
  return FAMILIES[FAMILIES.length - 1].load();
}

/** What `pipeline.type` of an experiment file can be. */
export const pipelineTypes = (): string[] => FAMILIES.flatMap((family) => family.pipelineTypes);

/**
 * @param type of an experiment file, if it says one.
 * @throws InvalidFileError where a model's folder holds another family than the experiment is for.
 */
export function checkPipelineType(
  family: ModelFamily,
  model: string,
  type: string | undefined,
  experiment = 'the experiment',
): void {
  if (type === undefined || family.pipelineTypes.includes(type)) return;
  throw new InvalidFileError(
    experiment,
    `pipeline.type: ${model} holds ${family.name}, which goes with ${family.pipelineTypes.join(' or ')}, got ${type}; choose the other base model, or change the type`,
    { field: 'pipeline.type' },
  );
}
