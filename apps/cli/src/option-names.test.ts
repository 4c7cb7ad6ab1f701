import { DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { namingOption, ownNames } from './option-names.ts';

const program = new Command('dwm').option('--json');
program
  .command('generate')
  .option('--hands, --hand-video <file>')
  .option('--num-frames <n>')
  .option('--chunk-id <n>')
  .option('--teacache-rel-l1-thresh <x>')
  .option('--out <file>')
  .option('--output-dir <dir>');
program.command('render').option('--frames <n>').option('--out <dir>');
program.command('prepare').option('--name <n>').option('--fps <n>');
program
  .command('encode')
  .option('--data-root <dir>')
  .option('--max-num-frames <n>')
  .option('--limit <n>')
  .option('--rank <r>')
  .option('--world-size <n>');
program.command('trajectory').command('import').option('--out <file>');

const named = (line: string) => ownNames(program, line.split(' ')).join(' ');

describe('names of options', () => {
  it.each([
    ['generate --num_frames 17 --hand_video h.mp4', 'generate --num-frames 17 --hand-video h.mp4'],
    ['generate --frames=17 --hands h.mp4', 'generate --num-frames=17 --hands h.mp4'],
    ['generate --hand_video_path h.mp4 --split_id 1', 'generate --hands h.mp4 --chunk-id 1'],
    ['generate --teacache_threshold 0.1', 'generate --teacache-rel-l1-thresh 0.1'],
    ['render --num_frames 9 --output-dir out', 'render --frames 9 --out out'],
    ['prepare --sample_name a --target_fps 8', 'prepare --name a --fps 8'],
    [
      'encode --root-dir d --num-frames 9 --max-samples 2',
      'encode --data-root d --max-num-frames 9 --limit 2',
    ],
    ['encode --shard-rank 1 --num-shards 2', 'encode --rank 1 --world-size 2'],
    ['generate --array-index 1', 'generate --chunk-id 1'],
    ['trajectory import --output_dir=a_b', 'trajectory import --out=a_b'],
  ])('%s', (given, taken) => {
    expect(named(given)).toBe(taken);
  });

  it.each([
    // A command that has both keeps both.
    'generate --out a.mp4 --output-dir b',
    // Values, names that nobody has, and what comes after -- are not touched.
    'generate --out my_file.mp4 render --no_such',
    'generate -- --num_frames',
    // The command's options, not those of another.
    'trajectory import --num_frames 3',
  ])('%s stays', (line) => {
    expect(named(line)).toBe(line);
  });
});

describe('errors name options', () => {
  it.each([
    ['render', 'frames', '--frames: is 3'],
    ['render', 'numFrames', '--frames: is 3'],
    ['generate', 'num-frames', '--num-frames: is 3'],
    ['generate', 'teaCache.relL1Thresh', '--teacache-rel-l1-thresh: is 3'],
    ['trajectory import', 'out', '--out: is 3'],
    ['render', 'joints', 'joints: is 3'],
    ['render', '--out', '--out: is 3'],
  ])('dwm %s, %s', (line, field, message) => {
    const error = namingOption(program, line.split(' '), new InvalidArgumentError(field, 'is 3'));
    expect(error).toMatchObject({ message, details: { field } });
  });

  it.each([
    ['generate', 'a.json: choose `numFrames: 9` `height: 96`', 'a.json: choose --num-frames 9 `height: 96`'],
    ['generate', 'numFrames.json: give `handVideo`', 'numFrames.json: give --hand-video'],
    ['render', 'a.json: give `handVideo`', 'a.json: give `handVideo`'],
    ['generate', 'take `quantize: int4`', 'take dwm quantize --dtype int4'],
    ['generate', '`vulkaninfo --summary` says', '`vulkaninfo --summary` says'],
  ])('dwm %s, in a message: %s', (line, said, message) => {
    const error = namingOption(program, line.split(' '), new DwmError('kind', said, { file: 'a.json' }));
    expect(error).toMatchObject({ message, code: 'kind', details: { file: 'a.json' } });
  });
});
