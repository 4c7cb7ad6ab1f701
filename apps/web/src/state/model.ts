/** The model that is loaded, and where it came from, so that another engine can load it again. */
import { createStore } from 'solid-js/store';
import type { ModelFiles, ModelRef } from '../model-store/sources.ts';
import type { ModelInfo } from '../worker/protocol.ts';
import type { Task } from './tasks.ts';

const builtIn = (folder: string): ModelRef => ({
  kind: 'default',
  base: new URL(`models/${folder}/`, document.baseURI).href,
});

/** The models that come with the page. The live one answers while the hand moves; it may be missing. */
export const CLIPS = builtIn('default');
export const LIVE = BUILT_IN_BYTES.live === undefined ? undefined : builtIn('live');

/** `?model=live` in the address asks for the one that answers while the hand moves. */
const firstModel = () =>
  LIVE && new URLSearchParams(location.search).get('model') === 'live' ? LIVE : CLIPS;

/** @param limit bytes that a model may take on the device, with a run. */
export function createModel(limit: () => number) {
  const [state, set] = createStore<{ readonly info?: ModelInfo }>({});
  let base = firstModel();
  let lora: ModelFiles | undefined;

  async function load(task: Task, ref: ModelRef, over: ModelFiles | undefined): Promise<ModelInfo> {
    task.say('Loading the model …');
    const asked = { base: ref, lora: over, limit: limit() };
    const info = await task.call('loadModel', asked, ({ part, done, total }) =>
      task.say(part === 'files' ? 'Fetching the model …' : 'Loading the model …', done / Math.max(1, total)),
    );
    [base, lora] = [ref, over];
    set({ info });
    return info;
  }

  return {
    state,
    load,
    /** The same again, in an engine that has none. */
    again: (task: Task) => load(task, base, lora),
    /** Another comes with the page, should this one fail. */
    hasSpare: () => base === LIVE,
    /** Fine-tuned weights over the model that is there; undefined takes them off. */
    tune: (task: Task, files: ModelFiles | undefined) => load(task, base, files),
  };
}

export type Model = ReturnType<typeof createModel>;
