/**
 * What decides: hands or words? A model is asked again with hands and captions that do not belong to the clip. Where the
 * hands decide, rows of the table differ and columns do not.
 */
import { InvalidArgumentError } from '@dwm/core-tensor';
import type { Frames } from '@dwm/media/node';
import { type Ablation, ablateVideos } from '../generate/ablate.ts';
import type { TextEmbeds } from '../generate/inputs.ts';
import type { Method } from './judge.ts';
import type { Generator } from './models.ts';
import { columns } from './summary.ts';
import type { EvalClip, MethodResult } from './types.ts';

const HANDS = ['own hands', 'touching nothing', 'shuffled hands', 'no hands'] as const;
type Hands = (typeof HANDS)[number];
const WORDS = ['own caption', 'wrong caption', 'no caption'] as const;
type Words = (typeof WORDS)[number];

/** What a clip can be given in place of its own; what is left out cannot be asked. */
export interface Counterfactuals {
  readonly hands: Readonly<Partial<Record<Hands, (clip: EvalClip) => Promise<Frames>>>>;
  readonly words: Readonly<Partial<Record<Words, (clip: EvalClip) => Promise<string | TextEmbeds>>>>;
}

const nameOf = (model: string, hands: Hands, words: Words): string =>
  [model, ...(hands === 'own hands' ? [] : [hands]), ...(words === 'own caption' ? [] : [words])].join(', ');

/**
 * The model as it is; and, where there are counterfactuals, without the static video, and with every pair of hands and
 * words.
 * @throws InvalidArgumentError for a clip without static and hand video.
 */
export function modelMethods(
  generator: Generator,
  promptOf: (clip: EvalClip) => Promise<string | TextEmbeds>,
  counterfactuals: Counterfactuals | undefined,
): Method[] {
  const make = (hands: Hands, words: Words, ablation?: Ablation) => async (clip: EvalClip) => {
    if (!clip.staticVideo || !clip.handVideo) {
      throw new InvalidArgumentError(
        'model',
        `${clip.truthName} has no static or no hand video, which a model needs`,
      );
    }
    const handVideo = (await counterfactuals?.hands[hands]?.(clip)) ?? clip.handVideo;
    const videos = ablateVideos({ staticVideo: clip.staticVideo, handVideo }, ablation);
    const prompt = await (counterfactuals?.words[words] ?? promptOf)(clip);
    const seedOffset = clip.index;
    const withoutHands = ablation === 'no-hands';
    const made = await generator.generate(videos.staticVideo, videos.handVideo, {
      ...{ prompt, seedOffset, withoutHands },
    });
    return { name: `${generator.name}'s ${clip.name}`, clip: made.clip };
  };
  const own = { name: generator.name, kind: 'model' as const, make: make('own hands', 'own caption') };
  if (!counterfactuals) return [own];
  const can = {
    hands: HANDS.filter((name) => name === 'own hands' || name === 'no hands' || counterfactuals.hands[name]),
    words: WORDS.filter((name) => name === 'own caption' || counterfactuals.words[name]),
  };
  const others = can.hands.flatMap((hands) =>
    can.words.flatMap((words): Method[] =>
      hands === 'own hands' && words === 'own caption'
        ? []
        : [
            {
              name: nameOf(generator.name, hands, words),
              kind: 'ablation',
              make: make(hands, words, hands === 'no hands' ? 'no-hands' : undefined),
            },
          ],
    ),
  );
  const noStatic = {
    name: `${generator.name}, no static`,
    kind: 'ablation' as const,
    make: make('own hands', 'own caption', 'no-static'),
  };
  return [own, noStatic, ...others];
}

/**
 * For people: share of clips that end as they did with their own hands, and dB of the changed region to that, a row a kind of
 * hands, a column a kind of caption; undefined where no model was asked so.
 */
export function counterfactualTable(results: readonly MethodResult[]): string | undefined {
  const blocks = results
    .filter(({ kind }) => kind === 'model')
    .flatMap(({ name: model }) => {
      const cell = (hands: Hands, words: Words) => {
        const found = results.find(({ name }) => name === nameOf(model, hands, words))?.summary;
        if (!found?.psnrChanged) return '–';
        const outcome = found.outcome ? `${Math.round(100 * found.outcome.mean)}%` : '–';
        return `${outcome}, ${found.psnrChanged.mean.toFixed(2)} dB`;
      };
      const rows = HANDS.map((hands) => [hands, ...WORDS.map((words) => cell(hands, words))]);
      if (rows.slice(1).every((row) => row.slice(1).every((text) => text === '–'))) return [];
      return [[`${model}: outcome, changed region`, ...columns([['', ...WORDS], ...rows])].join('\n')];
    });
  return blocks.length > 0 ? blocks.join('\n\n') : undefined;
}
