/** How the next run is made, whether it fits, and what came of the last one. */
import type { Frames } from '@dwm/media';
import { batch } from 'solid-js';
import { createStore, unwrap } from 'solid-js/store';
import { doing, done } from '../stage/run-words.ts';
import type { Calls, Conditioning, GenerateProgress, MemoryPlan, Settings } from '../worker/protocol.ts';
import { memoryLimit } from './memory-limit.ts';
import type { Task } from './tasks.ts';
import type { Told, WordsFrom } from './words.ts';

interface State {
  readonly settings?: Settings;
  /** Where `settings.prompt` comes from. */
  readonly wordsFrom: WordsFrom;
  /** GB that a run may take on the device. */
  readonly memoryLimit: number;
  readonly plan?: MemoryPlan;
  /** Of the run that is under way. */
  readonly progress?: GenerateProgress;
  readonly preview?: Frames;
  readonly generated?: Calls['generate']['result'] & { readonly of: Settings };
}

export function createRun() {
  const [state, set] = createStore<State>({ wordsFrom: 'none', memoryLimit: memoryLimit(true) });
  const now = () => unwrap(state);
  const planFor = (task: Task, settings: Settings, gigabytes = state.memoryLimit) =>
    task.call('plan', { settings, limit: gigabytes * 1e9 });

  return {
    state,
    now,
    planFor,
    /** The next run is made so. */
    use: (settings: Settings, told?: Told) =>
      set({
        settings: told ? { ...settings, prompt: told.text } : settings,
        ...(told && { wordsFrom: told.from }),
      }),
    /** What was made belongs to something that is no longer shown. */
    forget: () => set({ generated: undefined, preview: undefined }),
    allow: (gigabytes: number) => set({ memoryLimit: gigabytes }),
    planned: (plan: MemoryPlan) => set({ plan }),
    async plan(task: Task): Promise<void> {
      // Nothing can be generated with settings that no plan could be made for.
      set({ plan: undefined });
      set({ plan: await planFor(task, now().settings!) });
    },
    /** What was made in another way, of so many frames. */
    adopt: (made: Calls['generate']['result'], frames: number) =>
      set({ generated: { ...made, of: { ...now().settings!, frames } }, preview: undefined }),
    /** What was made before comes back where the run fails. */
    async make(task: Task, { scene, hands }: Conditioning): Promise<void> {
      const { settings, generated: before } = now();
      const show = (progress: GenerateProgress) => {
        task.say(doing(progress), done(progress));
        set({ progress, ...(progress.preview && { preview: progress.preview }) });
      };
      set({ generated: undefined, preview: undefined });
      show({ stage: 'encode', done: 0, step: 0, steps: settings!.steps });
      try {
        // The page keeps its clips: what is sent is copied.
        const given = { scene, hands, settings: settings! };
        const made = await task.call('generate', given, (progress) => batch(() => show(progress)));
        set({ generated: { ...made, of: settings! } });
      } catch (error) {
        set({ preview: undefined, generated: before });
        throw error;
      } finally {
        set({ progress: undefined });
      }
    },
  };
}

export type Run = ReturnType<typeof createRun>;
