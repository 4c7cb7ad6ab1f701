/**
 * Training: forward, backward and AdamW of one block, beside the peers that can differentiate; and of ours the
 * forward pass alone and with the backward pass, timed in the same turns. The backward pass should take at most
 * 2.6 times the forward pass.
 */
import { seeded } from '@dwm/core-tensor/testing';
import type { Case, Contender } from '../case.ts';
import { dwm, jaxJs, loaded, tfjs } from '../peers/index.ts';
import { type Parts, trainDwm } from '../peers/train-dwm.ts';
import { trainJaxJs } from '../peers/train-jax-js.ts';
import { trainTfjs } from '../peers/train-tfjs.ts';
import { expectedMoves, lossGradients, type TrainTask, trainCost, trainData } from '../workloads/train.ts';
import type { Machine, Suite } from './suite.ts';

const SETS = 2;
const [FORWARD, GRADIENT] = ['dwm, forward alone', 'dwm, forward and backward'];

function trainCase(name: string, task: TrainTask): Case {
  return {
    name,
    async open(device, seed) {
      const data = trainData(task, SETS, seeded(seed));
      const loss = {
        at: [0],
        values: [lossGradients(task, data.batches[0], data.weights).loss],
      };
      let parts: Promise<Parts> | undefined;
      const part = (which: keyof Parts) => async () => {
        await loaded(dwm, device);
        parts ??= trainDwm(device, task, data);
        return (await parts)[which];
      };
      const shared = { formulation: 'dwm', runsOn: 'shared' } as const;
      const contenders: Contender[] = [
        { ...shared, peer: dwm.name, prepare: part('step') },
        { ...shared, peer: FORWARD, expected: loss, prepare: part('forward') },
        { ...shared, peer: GRADIENT, expected: loss, prepare: part('gradient') },
        {
          ...{ ...shared, formulation: 'ops', peer: tfjs.name },
          async prepare() {
            await loaded(tfjs, device);
            return trainTfjs(device, task, data);
          },
        },
        {
          ...{ ...shared, formulation: 'jit', peer: jaxJs.name },
          async prepare() {
            await loaded(jaxJs, device);
            return trainJaxJs(device, task, data);
          },
        },
      ];
      return {
        cost: trainCost(task),
        expected: expectedMoves(task, data),
        sets: SETS,
        contenders,
        note(ms) {
          const [forward, both] = [ms(FORWARD), ms(GRADIENT)];
          if (forward === undefined || both === undefined) return undefined;
          return `backward pass: ${((both - forward) / forward).toFixed(2)} times the forward pass`;
        },
      };
    },
  };
}

function cases({ kind, quick }: Machine): Case[] {
  const block = (model: string, tokens: number, heads: number, of = heads) =>
    trainCase(`${model} block, a training step, ${tokens} tokens, ${heads} of ${of} heads`, {
      tokens,
      heads,
    });
  if (kind === 'hardware') return [block('tiny', 256, 4), block('2B', quick ? 226 : 1024, 30)];
  const small = [block('tiny', 120, 4), block('2B', 226, 5, 30)];
  return quick ? small : [...small, block('tiny', 480, 4)];
}

export const train: Suite = {
  name: 'train',
  about: 'a training step of one block, beside the peers that differentiate',
  cases,
};
