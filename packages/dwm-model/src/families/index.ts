/** The model families, and which of them a folder is of. */
import type { ModelFolder } from '@dwm/core-tensor';
import { COGVIDEOX } from '../cogvideox/family.ts';
import { WAN } from '../wan/family.ts';
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

/** The first that recognises a folder counts. */
const FAMILIES: readonly ModelFamily[] = [WAN, COGVIDEOX];

/** The family of a model's folder; of one that none recognises the last, whose messages then say what is missing. */
export async function familyOf(folder: ModelFolder): Promise<ModelFamily> {
  for (const family of FAMILIES) if (await family.recognises(folder)) return family;
  return FAMILIES[FAMILIES.length - 1];
}
