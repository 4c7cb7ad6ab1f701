/** Flags of `dwm generate` that contradict each other, or lack another. */
import { InvalidArgumentError } from '@dwm/core-tensor';
import { type Given, isMany } from './flags.ts';
import { PROMPTS } from './prompts.ts';

/** Flags as they are typed. */
const flagName = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** @throws InvalidArgumentError for flags that contradict each other. */
export function checkFlags(flags: Given): void {
  const given = (names: readonly (keyof Given)[]) =>
    names.filter((name) => flags[name] !== undefined).map((name) => `--${flagName(name)}`);
  const prompts = given(PROMPTS);
  if (prompts.length > 1)
    throw new InvalidArgumentError('prompt', `expected one kind of prompt, got ${prompts.join(' and ')}`);
  if (flags.suffix !== undefined && (flags.out || /[/\\]/.test(flags.suffix)))
    throw new InvalidArgumentError('suffix', 'is a part of a name that goes with --output-dir');
  if (flags.out && flags.outputDir)
    throw new InvalidArgumentError('out', 'expected --out or --output-dir, got both');
  if (flags.scene || flags.trajectory) {
    const [video] = given(['staticVideo', 'handVideo', 'video']);
    if (video)
      throw new InvalidArgumentError('scene', `expected --scene and --trajectory or ${video}, got both`);
    if (!flags.scene) throw new InvalidArgumentError('scene', 'is required with --trajectory');
    if (!flags.trajectory) throw new InvalidArgumentError('trajectory', 'is required with --scene');
  }
  if (!flags.datasetFile && flags.ablate === 'shuffled-hands')
    throw new InvalidArgumentError(
      'ablate',
      'shuffled-hands takes hands of another clip; give --dataset-file',
    );
  if (!flags.datasetFile && flags.worker !== undefined)
    throw new InvalidArgumentError('worker', 'shares the clips of a list; give --dataset-file');
  if (!isMany(flags)) return;
  const [single] = given(['out', 'staticVideo', 'handVideo', 'scene', 'trajectory', 'video', 'saveTensors']);
  if (single)
    throw new InvalidArgumentError(
      single.slice(2),
      `is about one clip; leave it out with --${listOf(flags)}`,
    );
  if (flags.variantManifestJson) {
    const [other] = given(['datasetFile', ...PROMPTS.slice(0, 2)]);
    if (other)
      throw new InvalidArgumentError(
        other.slice(2),
        'leave it out with --variant-manifest-json, which says it',
      );
  }
  for (const name of flags.datasetFile ? (['dataRoot', 'outputDir'] as const) : (['outputDir'] as const)) {
    if (!flags[name]) throw new InvalidArgumentError(flagName(name), `is required with --${listOf(flags)}`);
  }
}

/** The flag that many clips come with. */
const listOf = ({ datasetFile }: Given) => (datasetFile ? 'dataset-file' : 'variant-manifest-json');

/** Flags that cut a list as the original does. */
export const cutsOf = (flags: Given): readonly (string | undefined)[] =>
  (['chunkId', 'numChunks', 'shardRank', 'numShards'] as const).map((name) =>
    flags[name] === undefined ? undefined : `--${flagName(name)}`,
  );
