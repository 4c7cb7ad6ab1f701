/**
 * What the page and the engine's worker say to each other. A call has one argument and one result; while it runs it
 * may report progress, and the page may cancel it. Pictures travel as transferred buffers, never copied.
 */
import type { Frames } from '@dwm/media';
import type { Hands, Trajectory, TrajectoryFrame } from '@dwm/renderer';
import type { Bounds } from '@dwm/renderer/scene';
import type { DroppedFile } from '../model-store/dropped.ts';
import type { Kept } from '../model-store/opfs.ts';
import type { ModelFiles, ModelRef } from '../model-store/sources.ts';

export interface DeviceInfo {
  readonly name: string;
  /** Drawn by the processor: correct, and slow. */
  readonly software: boolean;
  readonly f16: boolean;
}

/** What the model was made for, and what it takes. */
export interface ModelInfo {
  readonly name: string;
  /** Fine-tuned weights over it. */
  readonly lora?: string;
  readonly takesText: boolean;
  /** It answers while the hand moves, block by block. */
  readonly live: boolean;
  /** What it was made for and nothing else, in a line. */
  readonly limit?: string;
  /** Device memory of its weights. */
  readonly bytes: number;
  readonly settings: Settings;
}

export interface Settings {
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly fps: number;
  readonly steps: number;
  readonly guidance: number;
  /** The scene's own pixels where nothing changes. */
  readonly composite?: boolean;
  readonly seed: number;
  /** Only for models with a text encoder. */
  readonly prompt: string;
}

export type RoomRef =
  /** `exact`: this room and no other, also where its motion does not work out. */
  | { readonly kind: 'synthetic'; readonly seed: number; readonly exact?: boolean }
  | { readonly kind: 'files'; readonly files: readonly DroppedFile[] };

export interface RoomInfo {
  readonly name: string;
  /** Of synthetic rooms: the one that was found. */
  readonly seed?: number;
  /** Camera and hands to begin with, at the settings' size and rate, where the room comes with them. */
  readonly trajectory?: Trajectory;
  /** Of rooms that come without, so that a camera can be put somewhere. */
  readonly bounds?: Bounds;
  /** The frames of its trajectory in which the hand does what the room is for, holding on to it. */
  readonly acts?: { readonly from: number; readonly to: number };
  /** What the hands do, in words. */
  readonly caption: string;
  /** What of its file the pictures do not show, a line each. */
  readonly notes?: readonly string[];
}

export interface Conditioning {
  readonly scene: Frames;
  readonly hands: Frames;
}

export interface MemoryPlan {
  readonly bytes: number;
  readonly limit: number;
  readonly fits: boolean;
  /** Bytes that the device holds now, of everything. */
  readonly held: number;
  /** Sizes that would fit, the largest first, where these do not. */
  readonly instead?: {
    readonly width: number;
    readonly height: number;
    readonly frames: number;
    readonly bytes: number;
  };
}

export interface GenerateProgress {
  readonly stage: 'text' | 'encode' | 'denoise' | 'decode';
  /** Of the stage, 0 to 1. */
  readonly done: number;
  readonly step: number;
  readonly steps: number;
  /** Median of the steps so far, and what is left after them; once a step is done. */
  readonly secondsPerStep?: number;
  readonly secondsLeft?: number;
  readonly preview?: Frames;
}

export interface ModelProgress {
  readonly part: string;
  readonly done: number;
  readonly total: number;
}

interface Call<A, R, P = never> {
  readonly argument: A;
  readonly result: R;
  readonly progress: P;
}

export interface Calls {
  open: Call<void, DeviceInfo>;
  loadModel: Call<
    /** `limit`: bytes that it may take on the device, with a run. */
    { readonly base: ModelRef; readonly lora: ModelFiles | undefined; readonly limit: number },
    ModelInfo,
    ModelProgress
  >;
  listModels: Call<void, readonly Kept[]>;
  forgetModel: Call<string, void>;
  /** The room is used once a motion in it was drawn. */
  openRoom: Call<{ readonly room: RoomRef; readonly settings: Settings }, RoomInfo>;
  condition: Call<{ readonly trajectory: Trajectory }, Conditioning, { readonly done: number }>;
  /** What hands do to the room, in words; undefined in rooms that nobody can simulate. */
  describe: Call<{ readonly trajectory: Trajectory }, string | undefined>;
  /** What the simulator says that hands do here, in a picture a few times the model's. */
  truth: Call<{ readonly trajectory: Trajectory; readonly larger: number }, Frames>;
  /** The same hands, held back until they touch nothing. */
  apart: Call<{ readonly trajectory: Trajectory }, Trajectory>;
  /** The visitor's two videos as a run takes them, and what was taken, a line each. */
  readVideos: Call<
    { readonly scene: File; readonly hands: File; readonly settings: Settings; readonly model?: string },
    Conditioning & { readonly notes: readonly string[] },
    { readonly name: string; readonly done: number }
  >;
  plan: Call<{ readonly settings: Settings; readonly limit: number }, MemoryPlan>;
  generate: Call<
    { readonly scene: Frames; readonly hands: Frames; readonly settings: Settings },
    { readonly video: Frames; readonly seconds: number; readonly warnings: readonly string[] },
    GenerateProgress
  >;
  /**
   * A run that answers while the hand moves, in the room whose motion was drawn last; one at a time. Blocks have `first`
   * frames, then `next` each. `scene` is what the camera of `frame` sees, one frame.
   */
  openLive: Call<
    { readonly frame: TrajectoryFrame; readonly settings: Settings },
    { readonly first: number; readonly next: number; readonly scene: Frames }
  >;
  /** A block; two may be under way. `scene` is there where the camera moves. `held`: bytes on the device. */
  pushLive: Call<
    { readonly frames: readonly TrajectoryFrame[] },
    Pick<Conditioning, 'hands'> & {
      readonly video: Frames;
      readonly scene?: Frames;
      readonly seconds: number;
      readonly held: number;
    }
  >;
  /** The room as it was to begin with. */
  resetLive: Call<void, void>;
  /** The networks that find hands in a webcam's pictures. */
  openHands: Call<void, void>;
  /** Hands before the webcam, which is at the origin; the picture is used up. */
  findHands: Call<ImageBitmap, Hands>;
  closeHands: Call<void, void>;
  attachView: Call<OffscreenCanvas, void>;
  /** Draws the room with hands in it; a newer one replaces one that waits. */
  look: Call<{ readonly frame: TrajectoryFrame }, void>;
  mp4: Call<{ readonly clips: readonly Frames[] }, Uint8Array>;
  gif: Call<{ readonly clips: readonly Frames[] }, Uint8Array>;
  sheet: Call<{ readonly rows: readonly { readonly label: string; readonly frames: Frames }[] }, Uint8Array>;
}

export type CallName = keyof Calls;

export type ToWorker =
  | { readonly id: number; readonly name: CallName; readonly argument: unknown }
  | { readonly cancel: number };

/** An error as it crosses: one line, and a code that a program can act on. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

export type FromWorker =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly failure: Failure }
  | { readonly id: number; readonly progress: unknown }
  /** The device is gone: everything in this worker is useless. */
  | { readonly lost: string };
