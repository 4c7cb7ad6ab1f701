/** What the model is given, and where it comes from: a room with a motion in it, or the visitor's two videos. */
import type { Frames } from '@dwm/media';
import type { Trajectory } from '@dwm/renderer';
import { batch } from 'solid-js';
import { createStore, unwrap } from 'solid-js/store';
import { onGrid } from '../export/link.ts';
import { GALLERY } from '../gallery/rooms.ts';
import { begin, type History, push } from '../scene-editor/history.ts';
import type { Conditioning, RoomInfo, RoomRef, Settings } from '../worker/protocol.ts';
import type { Model } from './model.ts';
import type { Run } from './run.ts';
import type { Task } from './tasks.ts';
import { fitted, startingTrajectory } from './trajectories.ts';
import { type Told, wordsOf, wordsOfVideos } from './words.ts';

export const DEFAULT_ROOM = GALLERY[0].seed;

/** Videos of the visitor's, and what a text file beside them says of them. */
export interface OwnVideos {
  readonly scene: File;
  readonly hands: File;
  readonly caption?: string;
  /** What was taken of them, a line each. */
  readonly notes?: readonly string[];
}

interface State {
  readonly ref: RoomRef;
  readonly info?: RoomInfo;
  /** The room that is being opened. */
  readonly opening?: RoomRef;
  readonly motions?: History<Trajectory>;
  /** The motion that the room began with: another size or model has it made anew. The visitor's own is kept. */
  readonly roomMotion?: Trajectory;
  readonly scene?: Frames;
  readonly hands?: Frames;
  /** Where the clips above come from, where they are not drawn here. */
  readonly videos?: OwnVideos;
}

export function createRoom(run: Run, model: Model) {
  const [state, set] = createStore<State>({
    ref: { kind: 'synthetic', seed: DEFAULT_ROOM, exact: true },
  });
  /** The state without the store's proxies, which cannot be sent to the engine. */
  const now = () => unwrap(state);
  /** The motion whose clips are shown. */
  let drawn: History<Trajectory> | undefined;

  const typed = (): Told | undefined =>
    run.state.wordsFrom === 'typed' ? { text: run.now().settings!.prompt, from: 'typed' } : undefined;
  const ownMotions = () => {
    const { motions, roomMotion } = now();
    return motions?.present === roomMotion ? undefined : motions;
  };

  /** The conditioning videos of a motion, in the room that was opened last. */
  async function draw(task: Task, trajectory: Trajectory): Promise<Conditioning> {
    const what = 'Drawing room and hand …';
    task.say(what);
    return task.call('condition', { trajectory }, ({ done }) => task.say(what, done));
  }

  /** A room with the motion it is given, or its own, at a size. The page changes once all of it is there. */
  async function open(
    task: Task,
    ref: RoomRef,
    settings: Settings,
    history?: History<Trajectory>,
  ): Promise<void> {
    task.say('Building the room …');
    set({ opening: ref });
    try {
      const info = await task.call('openRoom', { room: ref, settings });
      const own = onGrid(fitted(startingTrajectory(info, settings), settings));
      const given = history?.present;
      const trajectory = given ? onGrid(fitted(given, settings)) : own;
      const clips = await draw(task, trajectory);
      const told = typed() ?? (await wordsOf(task, info, trajectory, trajectory === own));
      const motions = history && given === trajectory ? history : begin(trajectory);
      drawn = motions;
      batch(() => {
        const found =
          info.seed === undefined ? ref : { kind: 'synthetic' as const, seed: info.seed, exact: true };
        set({ ...clips, ref: found, info, roomMotion: own, motions, videos: undefined });
        run.forget();
        run.use(settings, told);
      });
    } finally {
      set({ opening: undefined });
    }
  }

  async function openVideos(task: Task, videos: OwnVideos, settings: Settings): Promise<void> {
    const { scene, hands } = videos;
    const { notes, ...clips } = await task.call(
      'readVideos',
      { scene, hands, settings, model: model.state.info?.name },
      ({ name, done }) => task.say(`Reading ${name} …`, done),
    );
    batch(() => {
      set({ ...clips, videos: { ...videos, notes } });
      run.forget();
      run.use(settings, typed() ?? wordsOfVideos(videos));
    });
  }

  return {
    state,
    now,
    open,
    openVideos,
    /** Everything that is shown, made anew at a size. */
    remake(task: Task, settings: Settings): Promise<void> {
      const { videos, ref } = now();
      return videos ? openVideos(task, videos, settings) : open(task, ref, settings, ownMotions());
    },
    /** From the visitor's videos back to the room and its motion. */
    leaveVideos: (task: Task) => open(task, now().ref, run.now().settings!, ownMotions()),
    /** The room that is shown, in an engine that has none. */
    async again(task: Task): Promise<void> {
      const { ref, motions } = now();
      await task.call('openRoom', { room: ref, settings: run.now().settings! });
      await draw(task, motions!.present);
    },
    /** Another motion is shown from now on; its clips come with `follow`. */
    ask: (motions: History<Trajectory>) => set({ motions }),
    /** Draws the motion that was asked for; one that is not drawn is taken back. */
    async follow(task: Task, asSaid?: boolean): Promise<void> {
      const { motions, roomMotion, info } = now();
      const trajectory = motions!.present;
      try {
        const clips = await draw(task, trajectory);
        const told = typed() ?? (await wordsOf(task, info!, trajectory, asSaid ?? trajectory === roomMotion));
        drawn = motions;
        batch(() => {
          set({ ...clips, videos: undefined });
          run.forget();
          run.use(run.now().settings!, told);
        });
      } catch (error) {
        if (now().motions === motions) set({ motions: drawn });
        throw error;
      }
    },
    /** A motion whose clips are there already. */
    adopt(clips: Conditioning, trajectory: Trajectory): void {
      drawn = push(now().motions!, trajectory);
      set({ ...clips, motions: drawn });
    },
    /** The page's own words of what is shown. */
    words(task: Task): Told | Promise<Told> {
      const { videos, motions, roomMotion, info } = now();
      if (videos) return wordsOfVideos(videos);
      return wordsOf(task, info!, motions!.present, motions!.present === roomMotion);
    },
  };
}

export type Room = ReturnType<typeof createRoom>;
