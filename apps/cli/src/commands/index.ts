/** Every command: what it does, in a line, and the module that adds it with its options. */
import type { Command } from 'commander';

interface Entry {
  readonly does: string;
  readonly load: () => Promise<(program: Command) => void>;
}

export const COMMANDS: Readonly<Record<string, Entry>> = {
  generate: {
    does: 'generate the video of what the hands do to the scene',
    load: async () => (await import('./generate.ts')).addGenerate,
  },
  live: {
    does: 'generate block by block as the hands move, with a model that looks back only, and say how fast',
    load: async () => (await import('./live.ts')).addLive,
  },
  render: {
    does: 'draw a scene and hands along a trajectory: the two videos that generate takes',
    load: async () => (await import('./render.ts')).addRender,
  },
  trajectory: {
    does: 'camera and hands of every frame: import recordings, resample, preview',
    load: async () => (await import('./trajectory.ts')).addTrajectory,
  },
  prepare: {
    does: 'make a sample of a video of hands: 49 frames, the scene alone, and the hands, which are found',
    load: async () => (await import('./prepare.ts')).addPrepare,
  },
  demo: {
    does: 'simulate two hands in one room, and see whether the default model knows which of them acts',
    load: async () => (await import('./demo.ts')).addDemo,
  },
  memory: {
    does: 'say what a run takes on a device, stage by stage, before anything is loaded',
    load: async () => (await import('./memory.ts')).addMemory,
  },
  doctor: {
    does: 'show the adapter, its features and measured peaks, video codecs, and what is missing',
    load: async () => (await import('./doctor.ts')).addDoctor,
  },
  download: {
    does: 'fetch a model from the hub, e.g. alibaba-pai/CogVideoX-Fun-V1.1-5b-InP',
    load: async () => (await import('./download.ts')).addDownload,
  },
  quantize: {
    does: 'make a model of whole numbers of 8 or 4 bits, for cards with less memory',
    load: async () => (await import('./quantize.ts')).addQuantize,
  },
  encode: {
    does: 'encode clips and captions for training with load_tensors',
    load: async () => (await import('./encode.ts')).addEncode,
  },
  dataset: {
    does: 'lists of clips, and whether the clips are whole',
    load: async () => (await import('./dataset.ts')).addDataset,
  },
  caption: {
    does: 'caption clips, or rewrite captions, with a model of your own behind an OpenAI-compatible address',
    load: async () => (await import('./caption.ts')).addCaption,
  },
  train: {
    does: 'train a model, as an experiment file of the original says',
    load: async () => (await import('./train.ts')).addTrain,
  },
  tune: {
    does: 'measure the variants of every kernel on this device, and keep the fastest for later runs',
    load: async () => (await import('./tune.ts')).addTune,
  },
  synth: {
    does: 'make training clips: simulated hands that act in made-up rooms, in three aligned videos',
    load: async () => (await import('./synth.ts')).addSynth,
  },
  status: {
    does: 'show how far processes are that share the work of a folder: progress, rates, failures',
    load: async () => (await import('./status.ts')).addStatus,
  },
  eval: {
    does: 'score videos, or what models make, against what happened; trivial baselines beside them',
    load: async () => (await import('./eval.ts')).addEval,
  },
  rank: {
    does: 'simulate candidate hand actions in one scene and say which one comes nearest to a goal',
    load: async () => (await import('./rank.ts')).addRank,
  },
  plan: {
    does: 'search for the hand path that brings a scene to a goal, with the model as simulator',
    load: async () => (await import('./plan.ts')).addPlan,
  },
  judge: {
    does: 'say how good a model is in rooms that nobody trained on',
    load: async () => (await import('./judge.ts')).addJudge,
  },
  model: {
    does: 'make a model folder of others: weights in f16, the mean of two trainings',
    load: async () => (await import('./model.ts')).addModel,
  },
};
